"""Import of librosa under a lock, so that one process at a time writes numba's cache.

numba stores compiled functions beside the library, without a lock: a wrapper in one file calls a function in another by
a name that differs from process to process. Two processes that import librosa at the same moment, right after it was
installed, can leave a mixture of files, in which every later process crashes.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import tempfile
from pathlib import Path
from types import ModuleType


@functools.cache
def load_librosa() -> ModuleType:
    """Import librosa with all of its compiled parts that are used here; other processes of the user wait meanwhile."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, KeyError):  # no place for a lock, or a user without a name
            stack.enter_context(_lock())
        import librosa

        # Its modules are imported when a name of theirs is first asked for.
        _ = librosa.util.localmin, librosa.pyin, librosa.stft, librosa.feature.rms, librosa.effects, librosa.sequence
        return librosa


def _lock() -> contextlib.AbstractContextManager[object]:
    from filelock import FileLock

    return FileLock(Path(tempfile.gettempdir()) / f"voiceclone-{getpass.getuser()}-librosa.lock").acquire(timeout=-1)
