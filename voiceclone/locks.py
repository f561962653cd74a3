"""One run at a time in a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_failure

LOCK = ".lock"


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

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / LOCK))
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"another run is writing to {folder}: wait for it, or choose another {instead}") from error
    except OSError as error:
        raise VoicecloneError(write_failure(folder, error)) from error
    try:
        yield
    finally:
        # Removed while still held, so that nobody can take a lock on a file that is about to go. Where the disk has
        # turned read-only it stays, and no longer holds.
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):
            folder.rmdir()  # only where the run ended before it wrote anything
