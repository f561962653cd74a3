"""The settings of ``prepare``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from voiceclone.data.dataset import VALIDATION_SHARE
from voiceclone.errors import UsageError
from voiceclone.prepare.clips import ClipLimits
from voiceclone.ranges import check_range

TRANSCRIPTS = ("text", "subtitles", "metadata", "transcribe")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Settings of ``prepare``; exactly one of the first four is given.

    Raises:
        UsageError: a value is out of range, or values do not go together.
    """

    text: Path | None = None
    """Text file, or a folder of ``NAME.txt``."""
    subtitles: Path | None = None
    """SRT or WebVTT file, or a folder of them."""
    metadata: Path | None = None
    """``metadata.csv`` or ``metadata.jsonl`` of clips that are already cut."""
    transcribe: str | None = None
    """Name or folder of a faster-whisper model."""
    lang: str = "a"
    """Kokoro's language code."""
    speaker: str | None = None
    """Written into every row of the metadata."""
    validation: float = VALIDATION_SHARE
    """Share of the clips, 0 to 0.5."""
    seed: int = 0
    """Seed of the choice of validation clips."""
    min_seconds: float = 3.0
    """Shortest clip that is cut."""
    max_seconds: float = 12.0
    min_ready_seconds: float = 1.0
    """Shortest clip if the clips are already cut."""
    loudness: float = -23.0
    """Integrated loudness of every clip, LUFS (ITU-R BS.1770-4)."""
    resume: bool = False
    overwrite: bool = False
    force: bool = False
    """Accept a dataset that leaves out much of the text or the audio."""
    limits: ClipLimits = field(default_factory=ClipLimits)

    def __post_init__(self) -> None:
        given = [f"--{name}" for name in TRANSCRIPTS if getattr(self, name) is not None]
        if len(given) != 1:
            found = "none is given" if not given else f"{' and '.join(given)} are given"
            raise UsageError(f"say what is spoken by one of --text, --subtitles, --metadata and --transcribe: {found}")
        for name, low, high in (
            ("min_seconds", 0.8, 30.0),
            ("max_seconds", 1.0, 30.0),
            ("min_ready_seconds", 0.8, 30.0),
            ("validation", 0.0, 0.5),
            ("loudness", -40.0, -10.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"--{name.replace('_', '-')} {value:g}: give a number from {low:g} to {high:g}")
        if self.max_seconds < 1.5 * self.min_seconds:
            raise UsageError(
                f"--max-seconds {self.max_seconds:g} must be at least one and a half times --min-seconds"
                f" {self.min_seconds:g}: pauses do not come where they are wanted"
            )
        check_range("seed", self.seed)
        if self.resume and self.overwrite:
            raise UsageError("--resume and --overwrite: choose one")
        if self.speaker is not None and not self.speaker.strip():
            raise UsageError("--speaker: give a name")
