"""The settings of ``prepare``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from voiceclone.data.dataset import VALIDATION_SHARE
from voiceclone.errors import UsageError
from voiceclone.prepare.clips import ClipLimits
from voiceclone.ranges import check_range
from voiceclone.system.settings import setting

TRANSCRIPTS = ("text", "subtitles", "metadata", "transcribe")
SHORTEST, SHORTEST_READY = 3.0, 1.0
"""Seconds of a clip that is cut, and of one that comes cut already, unless ``min_seconds`` is given."""


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Settings of ``prepare``; exactly one of the first four is given.

    Raises:
        UsageError: a value is out of range, or values do not go together.
    """

    text: Path | None = setting(
        None, "what is said, by one of four: text of the recording, or one line for each file, or a folder of NAME.txt"
    )
    subtitles: Path | None = setting(None, "or: SRT, WebVTT or JSON of timed characters, or a folder of NAME.srt")
    metadata: Path | None = setting(
        None, "or: metadata.csv (LJSpeech and others) or metadata.jsonl of clips cut already"
    )
    transcribe: str | None = setting(
        None, "or: recognise the speech with faster-whisper, if installed (default model: small)"
    )
    lang: str = setting(
        "a",
        "Kokoro's language code; Japanese text cannot be checked against the sound: give subtitles, or one line a file",
    )
    speaker: str | None = setting(None, "name, written into the metadata")
    validation: float = setting(VALIDATION_SHARE, "share of the clips that is held out, 0 to 0.5")
    seed: int = setting(0, "seed of the choice of held-out clips")
    min_seconds: float | None = setting(None, "shortest clip, in seconds (3; 1 if cut already)")
    max_seconds: float = setting(12.0, "longest clip, in seconds")
    loudness: float = setting(-23.0, "loudness of the clips, LUFS by ITU-R BS.1770")
    resume: bool = setting(False, "continue an unfinished run")
    overwrite: bool = setting(False, "replace what an earlier run made")
    force: bool = setting(False, "exit 0 even where less than 70 % of the words or of the sound became clips")
    limits: ClipLimits = field(default_factory=ClipLimits)

    def __post_init__(self) -> None:
        given = [f"--{name}" for name in TRANSCRIPTS if getattr(self, name) is not None]
        if len(given) != 1:
            found = "none is given" if not given else f"{' and '.join(given)} are given"
            raise UsageError(f"say what is spoken by one of --text, --subtitles, --metadata and --transcribe: {found}")
        for name, low, high in (
            ("min_seconds", 0.8, 30.0),
            ("max_seconds", 1.0, 30.0),
            ("validation", 0.0, 0.5),
            ("loudness", -40.0, -10.0),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"--{name.replace('_', '-')} {value:g}: give a number from {low:g} to {high:g}")
        if self.max_seconds < 1.5 * self.shortest:
            raise UsageError(
                f"--max-seconds {self.max_seconds:g} must be at least one and a half times --min-seconds"
                f" {self.shortest:g}: pauses do not come where they are wanted"
            )
        check_range("seed", self.seed)
        if self.resume and self.overwrite:
            raise UsageError("--resume and --overwrite: choose one")
        if self.speaker is not None and not self.speaker.strip():
            raise UsageError("--speaker: give a name")

    @property
    def shortest(self) -> float:
        """Seconds of the shortest clip that is cut."""
        return SHORTEST if self.min_seconds is None else self.min_seconds

    @property
    def shortest_ready(self) -> float:
        """Seconds of the shortest clip that comes cut already."""
        return SHORTEST_READY if self.min_seconds is None else self.min_seconds
