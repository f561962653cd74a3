"""Recordings and their texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file with speech."""

    path: Path
    name: str
    """As the report calls it: relative to the source folder."""
    stem: str
    """What its clips' names begin with: letters, digits, ``-`` and ``_``; no two recordings share it."""
    seconds: float
    """By its header."""
    doubts: tuple[str, ...] = ()
    """``reason: detail`` of what is wrong with its sound and does not keep it from being used."""


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
    """Where the text comes from, for messages."""
    cues: tuple[tuple[float, float, str], ...] = ()
    """Start, end and text of the subtitles in it."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """The texts of several recordings: one running text for all of them, or parts."""

    running: str | None = field(default=None, repr=False)
    parts: tuple[Part, ...] = ()
    ready_cut: bool = False
    """Every recording is one clip already, where it is not too long."""
    problems: tuple[tuple[str, str], ...] = ()
    """What was passed over: (where, why)."""

    @property
    def words(self) -> int:
        """Number of words of the text."""
        texts = [part.text for part in self.parts] if self.running is None else [self.running]
        return sum(len(text.split()) for text in texts)
