"""One run at a time in a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_failure

LOCK = ".lock"
_ATTEMPTS = 20


@contextlib.contextmanager
def held(folder: Path, *, instead: str) -> Iterator[None]:
    """Hold ``folder``, which is made where it is not there, against a second run; an empty one is removed again.

    Args:
        instead: the flag that chooses another folder, for the message.

    Raises:
        UsageError: another run is writing here.
        VoicecloneError: the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(str(folder / LOCK))
    try:
        for attempt in range(_ATTEMPTS):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=0)
                break
            except (FileExistsError, FileNotFoundError):  # a run that wrote nothing has just removed the folder
                if attempt == _ATTEMPTS - 1 or folder.is_file():
                    raise
    except Timeout as error:
        raise UsageError(f"another run is writing to {folder}: wait for it, or choose another {instead}") from error
    except OSError as error:
        raise VoicecloneError(write_failure(folder, error)) from error
    try:
        yield
    finally:
        # Removed while still held. Whoever opened the file before and locks it now finds out that it is gone: filelock
        # looks from 3.21.2 on, before which two holders got in. Where the disk has turned read-only the file stays, and
        # no longer holds.
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):
            folder.rmdir()  # only where the run ended before it wrote anything
