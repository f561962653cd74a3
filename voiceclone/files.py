"""Atomic writes (temporary file, flush to disk, rename), and a lock that allows one run per folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from voiceclone.errors import UsageError, VoicecloneError

TEMPORARY_PREFIX = ".partial-"
LOCK = ".lock"
_ATTEMPTS = 20
_MAX_NOTE_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it replaces ``target``, on failure it is removed.

    The temporary file keeps the suffix of the target, because several writers choose their format by it.

    Raises:
        VoicecloneError: the folder cannot be written to or the disk is full.
    """
    target = Path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(target)
    except OSError as error:
        raise VoicecloneError(write_failure(target, error)) from error
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise VoicecloneError(write_failure(target, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_failure(target: Path, error: OSError) -> str:
    """The one line for a file that could not be written."""
    return f"cannot write {target}: {error.strerror or error}: free some space or choose another --out"


def write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target`` in one step."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write UTF-8 ``content`` to ``target`` in one step; bytes that are not UTF-8 (in paths) are escaped."""
    write_bytes(target, content.encode("utf-8", "backslashreplace"))


def write_json(target: Path, content: Any) -> None:
    """Write ``content`` as indented JSON; NaN and infinities are refused (they are not JSON)."""
    write_text(target, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_torch(target: Path, content: Any, *, notes: Mapping[str, str] | None = None) -> None:
    """Write tensors and plain values as a PyTorch file in one step, without a second copy in memory.

    ``torch.save`` reports a full disk as a RuntimeError without the reason, so the stream keeps the original error.

    Args:
        notes: texts by file name, added to the archive that a PyTorch file is; ``torch.load`` ignores them.
    """
    import torch

    with atomic_path(target) as temporary, temporary.open("wb") as file:
        stream = _RememberingStream(file)
        try:
            torch.save(content, stream)
        except RuntimeError:
            if stream.error is not None:
                raise stream.error from None
            raise
        file.close()
        _add_notes(temporary, notes or {})


def read_note(path: Path, name: str) -> str:
    """A note that :func:`write_torch` added; empty where there is none.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = next((entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] == name), None)
            if found is None or found.file_size > _MAX_NOTE_BYTES:
                return ""
            return archive.read(found).decode("utf-8", "replace")
    except (ValueError, RuntimeError, NotImplementedError, EOFError, zlib.error, zipfile.BadZipFile):
        return ""


def _add_notes(archive: Path, notes: Mapping[str, str]) -> None:
    """Add texts to a PyTorch file, below the folder that its other entries are in; without the time."""
    if not notes:
        return
    with zipfile.ZipFile(archive, "a") as file:
        root = file.namelist()[0].partition("/")[0]
        for name, text in notes.items():
            file.writestr(zipfile.ZipInfo(f"{root}/{name}"), text.encode())


class _RememberingStream:
    """The stream given to ``torch.save``; ``error`` is the first error of the underlying file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._file.flush()


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hex digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def remove_partial_files(folder: Path) -> None:
    """Remove temporary files of a killed run in ``folder`` and below it."""
    for stray in Path(folder).rglob(TEMPORARY_PREFIX + "*"):
        stray.unlink(missing_ok=True)


@contextlib.contextmanager
def held(folder: Path, *, instead: str) -> Iterator[None]:
    """Lock ``folder`` against a second run; it is created if missing, and removed again if it stays empty.

    Args:
        instead: the flag that selects another folder, for the message.

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
        # Removed while still locked. A process that opened the file before and locks it now must notice that it is
        # gone: filelock checks that since 3.21.2; earlier releases let two processes in. If the disk has turned
        # read-only the file stays, without a lock.
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):
            folder.rmdir()  # only where the run ended before it wrote anything


def _temporary(target: Path) -> Path:
    """A new, empty file beside ``target``.

    Made with plain permissions, so that the system applies the umask; reading the umask would mean setting it, for all
    threads.
    """
    while True:
        path = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{target.name}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
            return path


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the platform lets folders be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
