"""The 54 official voices of Kokoro v1.0, which are in the package in :mod:`compact form <voiceclone.voice.compact>`.

Every value is within 3e-5 of the published file's. The file is read on first use; nothing is downloaded.
``assets/README.md`` gives their source and licence; the file is made by
``scripts/pack_official_voices.py``.
"""

from __future__ import annotations

from pathlib import Path

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.voice_hashes import VOICE_SHA256
from voiceclone.voice.compact import PARTS, expand_compact, voices_of
from voiceclone.voice.pack import VoicePack

ASSET = Path(__file__).parent / "assets" / "kokoro_voices.safetensors"
OFFICIAL_NAMES = tuple(VOICE_SHA256)
ACCURACY = 3e-5  # largest difference of a value to the published file's


def official_voices() -> dict[str, VoicePack]:
    """All of them, by name.

    Raises:
        VoicecloneError: the package is damaged.
    """
    from voiceclone.models.checkpoint import read_safetensors

    found = voices_of(read_safetensors(ASSET))
    if set(found) != set(OFFICIAL_NAMES):
        raise VoicecloneError(f"{ASSET} does not hold the official voices: reinstall voiceclone")
    return found


def official_voice(name: str) -> VoicePack:
    """One of them, such as ``af_heart``; the others are not read.

    Raises:
        UsageError: there is none of that name.
        VoicecloneError: the package is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if name not in OFFICIAL_NAMES:
        raise UsageError(f"no official voice '{name}': use one of {', '.join(OFFICIAL_NAMES)}")
    try:
        with safe_open(str(ASSET), framework="pt") as file:
            return expand_compact({part: file.get_tensor(f"{name}.{part}") for part in PARTS}, name)
    except (OSError, SafetensorError) as error:
        raise VoicecloneError(f"{ASSET} cannot be read: reinstall voiceclone") from error
