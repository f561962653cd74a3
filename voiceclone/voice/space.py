"""Voice spaces: bases of one space sound alike with the same voice vector."""

from __future__ import annotations

import json
from pathlib import Path

KOKORO_SPACE = "kokoro-82m"
"""The space of Kokoro-82M's voice vectors; its students share it."""
_KOKORO = "kokoro"  # the space of Kokoro-82M, for all precisions of its weights


def space_of(kind: str | None, sha256: str | None, named: object = None) -> str:
    """The voice space of a base.

    Args:
        kind: ``kokoro``, ``nano`` or ``custom``.
        sha256: of the base's weights.
        named: the space that the base's ``base.json`` or a report names, if any.

    Returns:
        The named space, else Kokoro's for Kokoro, else the hash (a space of this base alone). Empty if nothing is
        known.
    """
    if isinstance(named, str) and named:
        return named
    return KOKORO_SPACE if kind == _KOKORO else sha256 or ""


def named_space(folder: Path) -> str | None:
    """The voice space that a base folder's ``base.json`` names, without loading anything else; None without one."""
    try:
        return json.loads((folder / "base.json").read_text(encoding="utf-8")).get("voice_space")
    except (OSError, ValueError, AttributeError, RecursionError):  # loading the base reports it
        return None
