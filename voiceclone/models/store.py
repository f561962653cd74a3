"""The project's cache folder, and hashes of files that are computed once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from voiceclone.errors import VoicecloneError
from voiceclone.files import sha256_of, write_failure, write_json


def cache_root() -> Path:
    """The folder of this project's own cache: ``$XDG_CACHE_HOME/voiceclone`` or ``~/.cache/voiceclone``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voiceclone"


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """One process makes something in the cache; the others wait for it, and then find its result.

    Args:
        name: of the thing that is made, a part of a file's name.

    Raises:
        VoicecloneError: the cache cannot be written to.
    """
    from filelock import FileLock

    folder = cache_root() / "bases"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder / f"{name}.lock"))
        lock.acquire()
    except OSError as error:
        raise VoicecloneError(write_failure(folder, error)) from error
    try:
        yield
    finally:
        lock.release()


def stamped_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits; read again only when the file's size or modification time has changed.

    The hash is stored in the cache. If that cannot be written to, the file is read each time.

    Raises:
        OSError: the file cannot be read.
    """
    path = Path(path).resolve()
    status = path.stat()
    facts = {"path": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    stamp = cache_root() / "stamps" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        known = json.loads(stamp.read_text(encoding="utf-8"))
        if {name: known.get(name) for name in facts} == facts and len(known["sha256"]) == 64:
            return known["sha256"]
    found = sha256_of(path)
    with contextlib.suppress(VoicecloneError):
        write_json(stamp, {**facts, "sha256": found})
    return found
