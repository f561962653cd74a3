"""voiceclone: your own voice for Kokoro TTS, from a folder of clips.

The public API is loaded on first use, so that ``import voiceclone`` stays quick:
``clone`` makes a voice, ``load_base`` opens a Kokoro-format model, ``VoicePack`` is a voice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["VoicePack", "__version__", "clone", "load_base"]

_HOMES = {"clone": "voiceclone.cloning.api", "load_base": "voiceclone.bases.base", "VoicePack": "voiceclone.voice.pack"}

if TYPE_CHECKING:
    from voiceclone.bases.base import load_base
    from voiceclone.cloning.api import clone
    from voiceclone.voice.pack import VoicePack


def __getattr__(name: str) -> Any:
    """Import the public names on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'voiceclone' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
