"""Fetch the real Kokoro and StyleTTS2 files from the Hugging Face Hub: pinned, checked, cached.

Only this module accesses the Hub. ``HF_HOME`` and ``HF_HUB_OFFLINE`` are respected.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.models.store import stamped_sha256
from voiceclone.models.voice_hashes import VOICE_SHA256

PROBE_SECONDS = 10.0  # how long ``--base auto`` waits for the Hub's answer
FILE_TIMEOUT_SECONDS = 10.0  # per request for a file's metadata
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_DISK = _FULL | _DENIED | {errno.EROFS, errno.ENOTDIR, errno.EIO}
_LONGEST_CHAIN = 10  # of chained exceptions
POLL_SECONDS = 0.5  # between two checks of a download's progress


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a Hub repository, pinned to a revision."""

    repo: str
    path: str
    revision: str
    sha256: str | None = None  # None if unknown
    size: int | None = None  # bytes

    @property
    def name(self) -> str:
        """Repository and path."""
        return f"{self.repo}/{self.path}"


KOKORO_REPO = "hexgrad/Kokoro-82M"
KOKORO_REVISION = "f3ff3571791e39611d31c381e3a41a3af07b4987"
STYLETTS2_REPO = "yl4579/StyleTTS2-LibriTTS"
STYLETTS2_REVISION = "3aa7ba7f8f275ec13dce21682a61494c35089e2a"

KOKORO_CONFIG_FILE = HubFile(
    repo=KOKORO_REPO,
    path="config.json",
    revision=KOKORO_REVISION,
    sha256="5abb01e2403b072bf03d04fde160443e209d7a0dad49a423be15196b9b43c17f",
    size=2_351,
)
KOKORO_WEIGHTS = HubFile(
    repo=KOKORO_REPO,
    path="kokoro-v1_0.pth",
    revision=KOKORO_REVISION,
    sha256="496dba118d1a58f5f3db2efc88dbdc216e0483fc89fe6e47ee1f2c53f18ad1e4",
    size=327_212_226,
)
STYLETTS2_CHECKPOINT = HubFile(
    repo=STYLETTS2_REPO,
    path="Models/LibriTTS/epochs_2nd_00020.pth",
    revision=STYLETTS2_REVISION,
    sha256="1164ffe19a17449d2c722234cecaf2836b35a698fb8ffd42562d2663657dca0a",
    size=771_390_526,
)
VOICE_BYTES = 523_425  # approximate size of an official voice file; it depends on the name
KOKORO_VOICES = tuple(VOICE_SHA256)


def voice_file(name: str) -> HubFile:
    """The published file of an official voice; not fetched, because the voices are in the package."""
    return HubFile(
        repo=KOKORO_REPO,
        path=f"voices/{name}.pt",
        revision=KOKORO_REVISION,
        sha256=VOICE_SHA256.get(name),
        size=VOICE_BYTES,
    )


REAL_FILES = (KOKORO_WEIGHTS,)  # config and voices are in the package


def is_offline(offline: bool = False) -> bool:
    """True if the user or the environment (``HF_HUB_OFFLINE``) forbids the network."""
    return offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}


def cached(file: HubFile) -> Path | None:
    """The file's path in the Hub cache, None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.path, revision=file.revision)
    return Path(found) if isinstance(found, str) else None


MEND = "run `voiceclone download` on a machine with internet, or use `--base nano`"


def hub_answers(seconds: float = PROBE_SECONDS) -> bool:
    """True if the Hub serves Kokoro's config within ``seconds``, including name resolution."""
    answered = threading.Event()

    def ask() -> None:
        try:
            _ask(KOKORO_CONFIG_FILE, seconds)
        except Exception:  # any failure counts as no answer
            return
        answered.set()

    probe = threading.Thread(target=ask, name="hub-probe", daemon=True)
    probe.start()
    probe.join(seconds)
    return answered.is_set()


def fetch_hub_file(
    file: HubFile, *, offline: bool = False, progress: Callable[[int], None] | None = None, mend: str = MEND
) -> Path:
    """Return the cached file, downloading it first if allowed; the known hash is checked.

    Args:
        progress: called repeatedly with the number of bytes of this file downloaded so far.
        mend: advice for the error message.

    Raises:
        VoicecloneError: it is not available, or its content is not the published one.
    """
    path = cached(file)
    if path is None:
        with _watched(file, progress):
            path = _download(file, offline=offline, mend=mend)
    check_hash(path, file.sha256)
    if progress is not None:
        progress(path.stat().st_size)
    return path


def check_hash(path: Path, expected: str | None, *, afresh: bool = False) -> None:
    """Compare a file with its published SHA-256, if known.

    Args:
        afresh: read the file even if its size and modification time are unchanged since the last check.

    Raises:
        VoicecloneError: the hash differs.
    """
    if expected is None:
        return
    found = sha256_of(path) if afresh else stamped_sha256(path)
    if found != expected:
        raise VoicecloneError(
            # The file itself: if only the cache's link were deleted, the client would link to the same file again.
            f"{path.resolve()} is not the published file (sha256 {found[:12]}..., expected {expected[:12]}...): "
            "delete it and run `voiceclone download`"
        )


def _download(file: HubFile, *, offline: bool, mend: str) -> Path:
    where = file.name
    if is_offline(offline):
        raise VoicecloneError(f"{where} is not in the Hub cache and the network is switched off: {mend}")
    from huggingface_hub import hf_hub_download

    try:
        _ask(file, FILE_TIMEOUT_SECONDS)  # the client itself retries for minutes if the Hub does not answer
        path = hf_hub_download(file.repo, file.path, revision=file.revision, etag_timeout=FILE_TIMEOUT_SECONDS)
    except Exception as error:  # the Hub client raises its HTTP library's, OS and its own errors
        if (fault := _disk_fault(error)) is not None:
            raise VoicecloneError(_cannot_write(fault)) from error
        raise VoicecloneError(f"cannot download {where} ({_refusal(error)}): {mend}") from error
    return Path(path)


def _refusal(error: BaseException) -> str:
    """The reason of a failed request in words, because the names of the client's exceptions mean nothing to users."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the Hub answered with status {status}"
    if "timeout" in type(error).__name__.lower():
        return f"the Hub did not answer within {FILE_TIMEOUT_SECONDS:g} s"
    return "no connection to the Hub, or it broke off"


def _disk_fault(error: BaseException | None) -> OSError | None:
    """The disk error that ``error`` is or was caused by; None for others, such as network errors."""
    for _ in range(_LONGEST_CHAIN):
        if error is None:
            return None
        # A firewall also gives a permission error, but without a file name.
        if isinstance(error, OSError) and error.errno in _DISK and (error.errno not in _DENIED or error.filename):
            return error
        error = error.__cause__ or error.__context__
    return None


def _cannot_write(fault: OSError) -> str:
    from huggingface_hub import constants

    mend = "free some space" if fault.errno in _FULL else "give write access"
    place = fault.filename or constants.HF_HUB_CACHE
    return f"cannot write {place}: {fault.strerror}: {mend}, or set HF_HOME to another folder for the Hub cache"


def _ask(file: HubFile, seconds: float) -> None:
    """Request a file's metadata from the Hub once; any exception of the client means that there is no answer."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    get_hf_file_metadata(hf_hub_url(file.repo, file.path, revision=file.revision), timeout=seconds)


@contextlib.contextmanager
def _watched(file: HubFile, progress: Callable[[int], None] | None) -> Iterator[None]:
    """While the block downloads ``file``, report the progress instead of the Hub client's own bar.

    The client offers no callback; the partial file is in the cache's ``blobs/*.incomplete``.
    """
    if progress is None:
        yield
        return
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=file.repo, repo_type="model") / "blobs"
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            with contextlib.suppress(OSError, ValueError):  # between two files there is none
                progress(max(blobs.glob("*.incomplete"), key=lambda path: path.stat().st_mtime).stat().st_size)

    own_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    watcher = threading.Thread(target=watch, name="download-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        if own_bars:
            enable_progress_bars()
