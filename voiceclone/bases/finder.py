"""Find a voice by name among the stock voices of a base, without loading its model."""

from __future__ import annotations

from voiceclone.voice.lookup import VoiceFinder


def finder_of(base: str) -> VoiceFinder:
    """For commands that need no model: with ``auto``, official voices are found without using the network."""
    from voiceclone.bases.base import load_stock_voices

    return VoiceFinder(lambda: load_stock_voices(base), where=f"--base {base}", official=base == "auto")
