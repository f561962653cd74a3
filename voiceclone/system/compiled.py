"""Import librosa under a lock, so that one process at a time writes numba's cache.

numba stores compiled functions beside the library without a lock, and they refer to each other by names that differ
between processes. Two processes that import librosa at the same time, right after its installation, can leave an
inconsistent cache with which every later process crashes.
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
    """Import librosa and all of its compiled parts that are used here. Other processes of the user wait meanwhile."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, KeyError):  # no writable folder for the lock, or a user without a name
            stack.enter_context(_lock())
        import librosa

        # librosa imports its modules lazily, on first access.
        _ = librosa.util.localmin, librosa.stft, librosa.feature.rms, librosa.effects, librosa.sequence
        return librosa


def _lock() -> contextlib.AbstractContextManager[object]:
    from filelock import FileLock

    return FileLock(Path(tempfile.gettempdir()) / f"voiceclone-{getpass.getuser()}-librosa.lock").acquire(timeout=-1)
