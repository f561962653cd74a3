"""The results of an evaluation by voice, as objects and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from voiceclone.evaluation.bootstrap import LEVEL, Interval, mean_interval, ratio_interval
from voiceclone.evaluation.in_words import Findings, verdict_in_words
from voiceclone.evaluation.report_measuring import Scores
from voiceclone.evaluation.report_verdict import Pairs, Verdict, phone_pairs, similarity_pairs
from voiceclone.voice.health import Health
from voiceclone.voice.pack import VoicePack

MEANS = ("f0_error_semitones", "f0_spread_error_semitones", "mcd_db", "opinion_score")


@dataclass(frozen=True, kw_only=True)
class VoiceResult:
    """Results of one voice. A metric that was not measured is missing from ``measures``."""

    similarity: Mapping[str, Interval]
    """Mean cosine similarity to the speaker's recordings, by encoder."""
    measures: Mapping[str, Interval]
    """By name: those of :data:`MEANS`, ``rate_error_percent``, ``rate_bias_percent`` (positive: slower than the
    speaker), ``phone_error_rate``, ``word_error_rate``."""
    by_length: Mapping[int, Mapping[str, float]]
    """Results of the held-out sentences by number of phonemes: similarity by encoder, and ``phone_error_rate``."""
    scores: tuple[Scores, ...]
    health: Health | None = None
    same_as: str | None = None
    """Name of the stock voice that this voice is a copy of."""

    def as_json(self) -> dict[str, Any]:
        """JSON-able. The interval limits of single metrics are under ``intervals``."""
        facts: dict[str, Any] = {"similarity": {name: interval.rounded() for name, interval in self.similarity.items()}}
        rounded = {name: interval.rounded() for name, interval in self.measures.items()}
        facts.update({name: value["mean"] for name, value in rounded.items()})
        facts["intervals"] = {name: [value["low"], value["high"]] for name, value in rounded.items()}
        facts["by_length"] = {str(length): dict(found) for length, found in self.by_length.items()}
        if self.health is not None:
            facts["health"] = {**asdict(self.health), "reasons": list(self.health.reasons)}
        if self.same_as is not None:
            facts["same_as"] = self.same_as
        facts["utterances"] = [scores.as_json() for scores in self.scores]
        return facts


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A sentence for the page: audio ``(T,)`` at 24 kHz by voice, including ``recordings`` where there is one."""

    text: str
    audio: Mapping[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """All results of an evaluation, and the data for its figures."""

    voices: Mapping[str, VoiceResult]
    """By name; ``clone`` first, ``recordings`` last."""
    verdict: Verdict | None
    """None where no voice is called ``clone``."""
    encoders: tuple[str, ...]
    doubts: tuple[str, ...]
    """Reasons why the metrics may be wrong for this speaker, one line each."""
    left_out: tuple[str, ...]
    """Metrics that were not measured and the reason, one line each."""
    validation_clips: int
    reference_clips: int
    """Number of recordings behind the speaker's mean embedding."""
    seed: int
    packs: Mapping[str, VoicePack] = field(repr=False)
    samples: tuple[Sample, ...] = field(repr=False)
    """Validation clips."""
    sentences: tuple[Sample, ...] = field(default=(), repr=False)
    """The held-out sentences, spoken by the clone and the best stock voice."""
    findings: Findings | None = None
    """Inputs of the verdict in words; None where there is no clone."""

    @property
    def in_words(self) -> list[str]:
        """The verdict in words, one line per list item."""
        return [] if self.findings is None else verdict_in_words(self.findings)

    def as_json(self) -> dict[str, Any]:
        """One JSON-able object."""
        return {
            "in_words": self.in_words,
            "findings": asdict(self.findings) if self.findings is not None else None,
            "voices": {name: result.as_json() for name, result in self.voices.items()},
            "verdict": self.verdict.as_json() if self.verdict is not None else None,
            "encoders": list(self.encoders),
            "doubts": list(self.doubts),
            "left_out": list(self.left_out),
            "validation_clips": self.validation_clips,
            "reference_clips": self.reference_clips,
            "confidence": LEVEL,
            "seed": self.seed,
        }


def summed_up(
    scores: tuple[Scores, ...],
    encoders: Sequence[str],
    *,
    seed: int,
    health: Health | None = None,
    same_as: str | None = None,
) -> VoiceResult:
    """Means and intervals over a voice's utterances."""
    similarity = {}
    for name in encoders:
        amounts, sizes = similarity_pairs(scores, name)
        if amounts:
            similarity[name] = ratio_interval(amounts, sizes, seed=seed)
    return VoiceResult(
        similarity=similarity,
        measures=_measures(scores, seed),
        by_length={s.length: _of_length(s) for s in scores if s.length is not None},
        scores=scores,
        health=health,
        same_as=same_as,
    )


def _measures(scores: Sequence[Scores], seed: int) -> dict[str, Interval]:
    """Means over the utterances where each was measured.

    Phone and word errors are pooled: sum of errors / sum of phones.
    """
    found = {}
    for name in MEANS:
        if values := [getattr(s, name) for s in scores if getattr(s, name) is not None]:
            found[name] = mean_interval(values, seed=seed)
    if slower := [s.slower_percent for s in scores if s.slower_percent is not None]:
        found["rate_error_percent"] = mean_interval([abs(value) for value in slower], seed=seed)
        found["rate_bias_percent"] = mean_interval(slower, seed=seed)
    words = [(s.word_errors, s.words) for s in scores if s.word_errors is not None and s.words]
    pairs: dict[str, Pairs] = {
        "phone_error_rate": phone_pairs(scores),
        "word_error_rate": ([errors for errors, _ in words], [count for _, count in words]),
    }
    found.update({name: ratio_interval(*pair, seed=seed) for name, pair in pairs.items() if pair[0]})
    return found


def _of_length(scores: Scores) -> dict[str, float]:
    found = {name: round(value, 4) for name, value in scores.similarity.items()}
    if scores.phones and scores.phone_errors is not None:
        found["phone_error_rate"] = round(scores.phone_errors / scores.phones, 4)
    return found
