"""Derive the inputs of the verdict in words from an evaluation's results."""

from __future__ import annotations

from collections.abc import Mapping

from voiceclone.evaluation.in_words import SOUNDS, Findings
from voiceclone.evaluation.report_results import VoiceResult
from voiceclone.evaluation.report_verdict import Verdict, deciding_encoder
from voiceclone.evaluation.voices import BEST_STOCK, CLONE, RECORDINGS, STRANGER, title_of

WORDS, PHONES = "word_error_rate", "phone_error_rate"


def findings_of(
    voices: Mapping[str, VoiceResult], verdict: Verdict | None, encoders: tuple[str, ...], unit: str
) -> Findings | None:
    """Inputs of the verdict in words; None where clone, unrelated voice or recordings were not measured.

    ``unit`` is what the recogniser of words counts.

    Similarity is by the encoder that is never used in training, or else by the first one available.
    """
    judge = deciding_encoder(encoders)
    likeness = {name: voice.similarity[judge].mean for name, voice in voices.items() if judge in voice.similarity}
    if not {CLONE, STRANGER, RECORDINGS} <= set(likeness):
        return None
    errors = WORDS if WORDS in voices[CLONE].measures else PHONES
    nearest = voices.get(BEST_STOCK)
    return Findings(
        clone=likeness[CLONE],
        stranger=likeness[STRANGER],
        recordings=likeness[RECORDINGS],
        nearest=likeness.get(BEST_STOCK),
        nearest_name=(nearest and nearest.same_as) or title_of(BEST_STOCK),
        nearest_clear=_is_clear(verdict, judge),
        understood=_share_right(voices, CLONE, errors),
        understood_recordings=_share_right(voices, RECORDINGS, errors),
        counted=unit if errors == WORDS else SOUNDS,
        slower_percent=_mean(voices, CLONE, "rate_bias_percent"),
        natural=_mean(voices, CLONE, "opinion_score"),
        natural_recordings=_mean(voices, RECORDINGS, "opinion_score"),
        natural_nearest=_mean(voices, BEST_STOCK, "opinion_score"),
    )


def _is_clear(verdict: Verdict | None, judge: str) -> bool | None:
    """True where clone and best stock voice differ significantly; None where they were not compared."""
    for comparison in verdict.comparisons if verdict is not None else ():
        if (comparison.rival, comparison.measure) == (BEST_STOCK, judge):
            return comparison.result != "unclear"
    return None


def _mean(voices: Mapping[str, VoiceResult], name: str, measure: str) -> float | None:
    found = voices[name].measures.get(measure) if name in voices else None
    return None if found is None else found.mean


def _share_right(voices: Mapping[str, VoiceResult], name: str, errors: str) -> float | None:
    rate = _mean(voices, name, errors)
    return None if rate is None else max(0.0, 1.0 - rate)
