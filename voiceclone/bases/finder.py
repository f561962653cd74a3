"""Find a voice by name among the stock voices of a base, without loading its model."""

from __future__ import annotations

from pathlib import Path

from voiceclone.voice.lookup import VoiceFinder
from voiceclone.voice.provenance import Provenance
from voiceclone.voice.space import space_of


def finder_of(base: str) -> VoiceFinder:
    """For commands that need no model: with ``auto``, official voices are found without using the network."""
    from voiceclone.bases.base import load_stock_voices

    return VoiceFinder(lambda: load_stock_voices(base), where=f"--base {base}", official=base == "auto")


def facts_of_custom_base(base: str) -> Provenance:
    """What names a custom base in a voice's provenance; empty for other bases: their stock voices are Kokoro's.

    Raises:
        VoicecloneError: the folder is not a base.
    """
    from voiceclone.bases.folder import read_info, weight_file
    from voiceclone.models.hub import KOKORO_WEIGHTS
    from voiceclone.models.store import stamped_sha256

    folder = Path(base)
    if base in ("auto", "nano", "kokoro") or not folder.is_dir():
        return {}
    info, sha256 = read_info(folder), stamped_sha256(weight_file(folder))
    if sha256 == KOKORO_WEIGHTS.sha256:
        return {}
    space = space_of("custom", sha256, info.get("voice_space"))
    return {"base": str(info.get("name", folder.name)), "base_kind": "custom", "base_sha256": sha256} | (
        {"voice_space": space} if space != sha256 else {}
    )
