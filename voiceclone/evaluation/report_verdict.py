"""The verdict: is the clone significantly better than the stock voices and their blends?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voiceclone.evaluation.bootstrap import Interval, difference_interval
from voiceclone.evaluation.report_measuring import Scores
from voiceclone.evaluation.voices import BEST_BLEND, BEST_STOCK, CLONE, MADE_HERE, ORACLE, RECORDINGS, title_of

RIVALS = (BEST_STOCK, BEST_BLEND)
UNINTELLIGIBLE = 0.5  # phone error rate from which a voice counts as unintelligible
# factor to the error rate of the speaker's own recordings; below it the recogniser is at fault, not the clone
FAR_WORSE = 1.5
MIN_PHONEMES = 15  # utterances with fewer phonemes are left out of the speaker similarity
# speaker encoders that are never used in training, the most accurate first: the score of an encoder used as a loss can
# rise while the actual similarity falls
UNTRAINED = ("campplus", "xvector")
PHONES = "phone error rate"
# in order of priority: the first outcome that applies to any rival is the verdict
OUTCOMES = ("unintelligible", "worse", "mixed", "unclear", "better")

_TOO_NEAR = {
    RECORDINGS: ("the speaker's own recordings are to one another", "the same voice, or an encoder that cannot tell"),
    ORACLE: ("the oracle is", "this base cannot do the voice, or the encoder cannot tell"),
}

Pairs = tuple[list[float], list[float]]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The clone compared with one voice in one metric, on the same utterances."""

    rival: str
    measure: str
    clone: float
    other: float
    advantage: Interval
    """Difference in favour of the clone; positive means better."""
    speaker: float | None = None
    """Value of the speaker's own recordings, where the clone need not exceed it; else None."""

    @property
    def result(self) -> str:
        """``better`` or ``worse`` where the whole interval lies on one side of zero, else ``unclear``.

        ``as the speaker`` where the clone is worse than the other voice, but not worse than the speaker's own
        recordings. A high phone error rate of the clone is then due to the recogniser's errors on this speaker.
        """
        if self.advantage.low is None or self.advantage.high is None:
            return "unclear"
        if self.advantage.high < 0:
            return "worse" if self.speaker is None or self.clone > self.speaker else "as the speaker"
        return "better" if self.advantage.low > 0 else "unclear"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The result of all comparisons."""

    outcome: str
    """One of :data:`OUTCOMES`, or ``not compared``."""
    line: str
    """The result as one line of text."""
    comparisons: tuple[Comparison, ...]
    best: str
    """The recommended voice: the clone, or the rival that is better."""
    also_ahead: tuple[str, ...] = ()
    """Other voices that are significantly more similar to the speaker than the clone; named at the end of the line."""

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "outcome": self.outcome,
            "line": self.line,
            "best": self.best,
            "also_ahead": list(self.also_ahead),
            "comparisons": [
                {
                    "rival": c.rival,
                    "measure": c.measure,
                    "clone": round(c.clone, 4),
                    "other": round(c.other, 4),
                    "advantage": c.advantage.rounded(),
                    "result": c.result,
                }
                for c in self.comparisons
            ],
        }


def reach_verdict(scores: Mapping[str, Sequence[Scores]], encoders: Sequence[str], *, seed: int) -> Verdict:
    """Compare the clone with the best stock voice and the best blend; with further voices only where both are missing.

    Args:
        scores: by voice; the same utterances in the same order.
        encoders: names of the speaker encoders.
        seed: of the bootstrap.
    """
    others = [name for name in scores if name not in MADE_HERE and name not in RIVALS]
    rivals = [name for name in RIVALS if name in scores] or others
    comparisons = tuple(c for rival in rivals for c in _compare(scores, rival, encoders, seed))
    if (line := _unintelligible(scores)) is not None:
        best = _nearest(rivals, comparisons) if comparisons else CLONE
        return Verdict(outcome=OUTCOMES[0], line=line, comparisons=comparisons, best=best)
    if not comparisons:
        line = "The clone was compared with no other voice: give one, for example --also best_stock=NAME."
        return Verdict(outcome="not compared", line=line, comparisons=(), best=CLONE)
    found = {rival: _outcome([c for c in comparisons if c.rival == rival]) for rival in rivals}
    outcome = next(outcome for outcome in OUTCOMES if outcome in found.values())
    hit = [rival for rival in rivals if found[rival] == outcome]
    ahead = [name for name in others if name not in rivals and _is_ahead(_compare(scores, name, encoders, seed))]
    aside = f" More like the speaker than the clone: {', '.join(map(title_of, ahead))}." if ahead else ""
    return Verdict(
        outcome=outcome,
        line=_line(outcome, hit, [c for c in comparisons if c.rival in hit]) + aside,
        comparisons=comparisons,
        best=_nearest(hit, comparisons) if outcome == "worse" else CLONE,
        also_ahead=tuple(ahead),
    )


def deciding_encoder(encoders: Sequence[str]) -> str:
    """Name of the encoder whose similarity decides: the most accurate one that is never used in training.

    The first one where all are used in training; empty where there are none.
    """
    return next((name for name in UNTRAINED if name in encoders), next(iter(encoders), ""))


def doubts_about_judges(scores: Mapping[str, Sequence[Scores]], encoders: Sequence[str]) -> list[str]:
    """Warnings about recognisers and encoders that fail on the speaker's own recordings."""
    doubts = []
    if (rate := phone_rate(scores.get(RECORDINGS, ()))) is not None and rate >= UNINTELLIGIBLE:
        doubts.append(f"the phone recogniser hardly understands this speaker ({rate:.0%} wrong in the recordings)")
    for encoder in encoders:
        mean = {name: _mean(similarity_pairs(rows, encoder)) for name, rows in scores.items()}
        for rival in RIVALS:
            for ceiling in (RECORDINGS, ORACLE):
                own, other = mean.get(ceiling), mean.get(rival)
                if own is not None and other is not None and other >= own:
                    doubts.append(_doubt(encoder, title_of(rival), other, ceiling, own))
    return doubts


def _doubt(encoder: str, rival: str, other: float, ceiling: str, own: float) -> str:
    """The warning that a stock voice or blend is as similar to the speaker as the speaker's own recordings are."""
    what, why = _TOO_NEAR[ceiling]
    shown = f"{other:.2f}", f"{own:.2f}"
    how = "as near to the speaker as" if shown[0] == shown[1] else "nearer to the speaker than"
    return f"to {encoder}, the {rival} ({shown[0]}) is {how} {what} ({shown[1]}): {why}"


def similarity_pairs(scores: Sequence[Scores], encoder: str) -> Pairs:
    """Amounts and sizes of the mean similarity, for :func:`ratio_interval`."""
    values = [s.similarity[encoder] for s in scores if counts(s) and encoder in s.similarity]
    return values, [1.0] * len(values)


def phone_pairs(scores: Sequence[Scores]) -> Pairs:
    """Amounts and sizes of the phone error rate, for :func:`ratio_interval`."""
    known = [(s.phone_errors, s.phones) for s in scores if s.phone_errors is not None and s.phones]
    return [errors for errors, _ in known], [phones for _, phones in known]


def counts(scores: Scores) -> bool:
    """True where an utterance is long enough for the speaker similarity."""
    return scores.phonemes >= MIN_PHONEMES


def _compare(
    scores: Mapping[str, Sequence[Scores]], rival: str, encoders: Sequence[str], seed: int
) -> list[Comparison]:
    """Comparisons with one rival: by every encoder, and by phone errors."""
    measures: list[tuple[str, Callable[[Sequence[Scores]], Pairs], int]] = [
        *((name, lambda s, name=name: similarity_pairs(s, name), 1) for name in encoders),
        (PHONES, phone_pairs, -1),
    ]
    found = []
    for measure, pairs, sign in measures:
        ours, theirs = pairs(scores[CLONE]), pairs(scores[rival])
        if not ours[0]:
            continue
        advantage = difference_interval(*((ours, theirs) if sign > 0 else (theirs, ours)), seed=seed)
        clone, other = (sum(amounts) / sum(sizes) for amounts, sizes in (ours, theirs))
        speaker = phone_rate(scores.get(RECORDINGS, ())) if measure == PHONES else None
        found.append(
            Comparison(rival=rival, measure=measure, clone=clone, other=other, advantage=advantage, speaker=speaker)
        )
    return found


def _unintelligible(scores: Mapping[str, Sequence[Scores]]) -> str | None:
    """The line for an unintelligible clone; None where it is intelligible, or the speaker's recordings are not."""
    rates = {name: rate for name, rows in scores.items() if (rate := phone_rate(rows)) is not None}
    if CLONE not in rates:
        return None
    clone = rates.pop(CLONE)
    against = RECORDINGS if RECORDINGS in rates else min(rates, key=rates.__getitem__, default=None)
    if clone < max(UNINTELLIGIBLE, FAR_WORSE * (0.0 if against is None else rates[against])):
        return None
    other = f" against {rates[against]:.0%} ({title_of(against)})" if against is not None else ""
    return f"THE CLONE IS UNINTELLIGIBLE: {PHONES} {clone:.0%}{other}."


def _outcome(comparisons: Sequence[Comparison]) -> str:
    """The outcome against one rival.

    A win requires the deciding encoder (:func:`deciding_encoder`).
    """
    heard = next((c.result for c in comparisons if c.measure == PHONES), "unclear")
    likeness = {c.measure: c.result for c in comparisons if c.measure != PHONES}
    lost = "worse" in likeness.values() or heard == "worse"
    if "better" not in likeness.values():
        return "worse" if lost else "unclear"
    if lost:
        return "mixed"
    deciding = deciding_encoder(tuple(likeness))
    return "better" if deciding not in UNTRAINED or likeness[deciding] == "better" else "unclear"


def _is_ahead(comparisons: Sequence[Comparison]) -> bool:
    """True where a voice is significantly more similar by one encoder and significantly less similar by none."""
    likeness = {c.result for c in comparisons if c.measure != PHONES}
    return "worse" in likeness and "better" not in likeness


def phone_rate(scores: Sequence[Scores]) -> float | None:
    """Phone errors per phone; None where none were measured."""
    return _mean(phone_pairs(scores))


def _mean(pairs: Pairs) -> float | None:
    return sum(pairs[0]) / sum(pairs[1]) if pairs[0] else None


def _nearest(rivals: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """The rival most similar to the speaker."""
    return max(rivals, key=lambda rival: sum(c.other for c in comparisons if c.rival == rival and c.measure != PHONES))


def _line(outcome: str, hit: Sequence[str], told: Sequence[Comparison]) -> str:
    """The line of text for the comparisons with the rivals ``hit``."""
    names = " and ".join(f"the {title_of(name)}" if title_of(name) != name else name for name in hit)
    better, worse, unclear = (
        _listed([c for c in told if c.result == result], len(hit) > 1) for result in ("better", "worse", "unclear")
    )
    if outcome == "worse":
        return f"THE CLONE LOSES to {names}: {worse}." + (f" Better: {better}." if better else "")
    if outcome == "mixed":
        return f"The clone does not simply win over {names}. Worse: {worse}. Better: {better}."
    if outcome == "unclear":
        rest = f" Better: {better}." if better else ""
        return f"The clone is NO CLEAR WIN over {names}: {unclear}.{rest} More validation clips would tell more."
    return f"The clone wins over {names}: {better}." + (f" No clear difference: {unclear}." if unclear else "")


def _listed(comparisons: Sequence[Comparison], with_names: bool) -> str:
    """The clone's values and those of the rivals, by metric."""
    parts = []
    for measure in dict.fromkeys(c.measure for c in comparisons):
        those = [c for c in comparisons if c.measure == measure]
        what, form = (PHONES, "{:.0%}") if measure == PHONES else (f"likeness by {measure}", "{:.2f}")
        others = " and ".join(form.format(c.other) + (f" ({title_of(c.rival)})" if with_names else "") for c in those)
        parts.append(f"{what} {form.format(those[0].clone)} against {others}")
    return "; ".join(parts)
