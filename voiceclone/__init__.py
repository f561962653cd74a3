"""voiceclone makes a voice for Kokoro TTS from a folder of clips.

The public API is loaded on first use, so that ``import voiceclone`` stays fast: ``clone`` makes a voice, ``load_base``
loads a Kokoro-format model, ``VoicePack`` is a voice, ``evaluate`` measures one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "CloneConfig",
    "CloneReport",
    "CloneResult",
    "Reporter",
    "UsageError",
    "VoicePack",
    "VoicecloneError",
    "__version__",
    "clone",
    "evaluate",
    "load_base",
]

_HOMES = {
    "CloneConfig": "voiceclone.cloning.config",
    "CloneReport": "voiceclone.cloning.report",
    "CloneResult": "voiceclone.cloning.api",
    "Reporter": "voiceclone.tracking.progress",
    "UsageError": "voiceclone.errors",
    "VoicePack": "voiceclone.voice.pack",
    "VoicecloneError": "voiceclone.errors",
    "clone": "voiceclone.cloning.api",
    "evaluate": "voiceclone.evaluation.api",
    "load_base": "voiceclone.bases.base",
}

if TYPE_CHECKING:
    from voiceclone.bases.base import load_base
    from voiceclone.cloning.api import CloneResult, clone
    from voiceclone.cloning.config import CloneConfig
    from voiceclone.cloning.report import CloneReport
    from voiceclone.errors import UsageError, VoicecloneError
    from voiceclone.evaluation.api import evaluate
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.pack import VoicePack


def __getattr__(name: str) -> Any:
    """Import the public names on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'voiceclone' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
