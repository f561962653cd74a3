"""Fetch the real Kokoro and StyleTTS2 files from the Hugging Face Hub: pinned, checked, cached.

Only this module talks to the Hub. ``HF_HOME`` and ``HF_HUB_OFFLINE`` are respected.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import VoicecloneError
from voiceclone.files import sha256_of

PROBE_SECONDS = 10.0  # how long ``--base auto`` waits for the Hub's answer
FILE_TIMEOUT_SECONDS = 10.0  # per request for a file's metadata


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a Hub repository, pinned to a revision."""

    repo: str
    path: str
    revision: str
    sha256: str | None = None  # None where no trustworthy figure is known


KOKORO_REPO = "hexgrad/Kokoro-82M"
KOKORO_REVISION = "f3ff3571791e39611d31c381e3a41a3af07b4987"
STYLETTS2_REPO = "yl4579/StyleTTS2-LibriTTS"
# The repository has no tags and the hash of its checkpoint is not published, so its one branch is what can be named;
# the commit that was really used stands in the resolved path and goes into the report.
STYLETTS2_REVISION = "main"

KOKORO_CONFIG = HubFile(repo=KOKORO_REPO, path="config.json", revision=KOKORO_REVISION)
KOKORO_WEIGHTS = HubFile(
    repo=KOKORO_REPO,
    path="kokoro-v1_0.pth",
    revision=KOKORO_REVISION,
    sha256="496dba118d1a58f5f3db2efc88dbdc216e0483fc89fe6e47ee1f2c53f18ad1e4",
)
STYLETTS2_CHECKPOINT = HubFile(
    repo=STYLETTS2_REPO, path="Models/LibriTTS/epochs_2nd_00020.pth", revision=STYLETTS2_REVISION
)
_VOICE_NAMES = """
    af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam
    am_echo am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa bf_alice bf_emma bf_isabella bf_lily
    bm_daniel bm_fable bm_george bm_lewis ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi
    if_sara im_nicola jf_alpha jf_gongitsune jf_nezumi jf_tebukuro jm_kumo pf_dora pm_alex pm_santa zf_xiaobei
    zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang
"""
KOKORO_VOICES = tuple(_VOICE_NAMES.split())


def voice_file(name: str) -> HubFile:
    """The official voice pack of that name."""
    return HubFile(repo=KOKORO_REPO, path=f"voices/{name}.pt", revision=KOKORO_REVISION)


REAL_FILES = (KOKORO_CONFIG, KOKORO_WEIGHTS, STYLETTS2_CHECKPOINT, *(voice_file(name) for name in KOKORO_VOICES))


def is_offline(offline: bool = False) -> bool:
    """True where the user or the environment (``HF_HUB_OFFLINE``) forbids the network."""
    return offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}


def cached(file: HubFile) -> Path | None:
    """The file's path in the Hub cache, None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.path, revision=file.revision)
    return Path(found) if isinstance(found, str) else None


def all_cached() -> bool:
    """True where everything the real base needs is in the cache (its stock voices are a help, not a need)."""
    return all(cached(file) is not None for file in (KOKORO_CONFIG, KOKORO_WEIGHTS, STYLETTS2_CHECKPOINT))


def hub_answers(seconds: float = PROBE_SECONDS) -> bool:
    """True where the Hub serves Kokoro's config within ``seconds``; name resolution counts towards them, too."""
    answered = threading.Event()

    def ask() -> None:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(KOKORO_REPO, KOKORO_CONFIG.path, revision=KOKORO_CONFIG.revision)
        try:
            get_hf_file_metadata(url, timeout=seconds)
        except Exception:  # any failure means the same here: no answer
            return
        answered.set()

    probe = threading.Thread(target=ask, name="hub-probe", daemon=True)
    probe.start()
    probe.join(seconds)
    return answered.is_set()


def fetch(file: HubFile, *, offline: bool = False) -> Path:
    """Return the cached file, downloading it first where allowed; the known hash is checked.

    Raises:
        VoicecloneError: it cannot be had, or its content is not the published one.
    """
    path = cached(file) or _download(file, offline=offline)
    check_hash(path, file.sha256)
    return path


def check_hash(path: Path, expected: str | None) -> None:
    """Compare a file with its published SHA-256, where one is known.

    Raises:
        VoicecloneError: the content is another one.
    """
    if expected is not None and (found := sha256_of(path)) != expected:
        raise VoicecloneError(
            f"{path} is not the published file (sha256 {found[:12]}..., expected {expected[:12]}...): "
            "delete it and run `voiceclone download`"
        )


def _download(file: HubFile, *, offline: bool) -> Path:
    where = f"{file.repo}/{file.path}"
    mend = "run `voiceclone download` on a machine with internet, or use `--base nano`"
    if is_offline(offline):
        raise VoicecloneError(f"{where} is not in the Hub cache and the network is switched off: {mend}")
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(
            file.repo, file.path, revision=file.revision, etag_timeout=FILE_TIMEOUT_SECONDS, resume_download=True
        )
    except Exception as error:  # the Hub client raises requests', OS and its own errors
        raise VoicecloneError(f"cannot download {where} ({type(error).__name__}): {mend}") from error
    return Path(path)
