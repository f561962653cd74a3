"""Recordings and their texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file with speech."""

    path: Path
    name: str
    """Name in the report: relative to the source folder."""
    stem: str
    """Prefix of its clips' names: letters, digits, ``-`` and ``_``; unique."""
    seconds: float
    """By its header."""
    doubts: tuple[str, ...] = ()
    """``reason: detail`` of faults in its audio that do not prevent its use."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A segment of one recording and its text."""

    recording: int
    """Index of the recording."""
    text: str = field(repr=False)
    start: float = 0.0
    """Seconds in the recording."""
    end: float | None = None
    """Seconds; the recording's end when None."""
    name: str = ""
    """Source of the text, for messages."""
    cues: tuple[tuple[float, float, str], ...] = ()
    """Start, end and text of the subtitles in it."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """The texts of several recordings: one running text for all of them, or parts."""

    running: str | None = field(default=None, repr=False)
    parts: tuple[Part, ...] = ()
    ready_cut: bool = False
    """Every recording is already a single clip, unless it is too long."""
    problems: tuple[tuple[str, str], ...] = ()
    """What was skipped: (where, why)."""

    @property
    def words(self) -> int:
        """Number of words of the text."""
        texts = [part.text for part in self.parts] if self.running is None else [self.running]
        return sum(len(text.split()) for text in texts)
