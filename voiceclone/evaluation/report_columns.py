"""Names, units and number formats of the metrics that tables show beside the similarity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voiceclone.evaluation.report_results import VoiceResult


@dataclass(frozen=True, kw_only=True)
class Column:
    """One entry of :attr:`VoiceResult.measures`."""

    key: str
    title: str
    """Name and unit."""
    short: str
    """Shorter name for the terminal."""
    digits: int
    scale: float = 1.0
    """Factor that converts the value to that unit."""

    def shown(self, value: float) -> str:
        """Format a value in the column's unit."""
        return f"{self.scale * value:.{self.digits}f}"


COLUMNS = (
    Column(key="f0_error_semitones", title="F0 level, semitones off", short="F0 st", digits=1),
    Column(key="f0_spread_error_semitones", title="F0 spread, semitones off", short="spread st", digits=1),
    Column(key="rate_error_percent", title="speaking rate, % off", short="rate %", digits=0),
    Column(key="mcd_db", title="mel-cepstral distortion, dB", short="MCD dB", digits=1),
    Column(key="phone_error_rate", title="phone errors, %", short="phones %", digits=0, scale=100.0),
    Column(key="word_error_rate", title="word errors, %", short="words %", digits=0, scale=100.0),
    Column(key="opinion_score", title="naturalness, 1 to 5", short="natural", digits=2),
)


def measured(voices: Iterable[VoiceResult]) -> list[Column]:
    """The columns with a value for at least one voice."""
    voices = list(voices)
    return [column for column in COLUMNS if any(column.key in voice.measures for voice in voices)]
