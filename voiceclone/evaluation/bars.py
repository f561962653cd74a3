"""The result as bars: the clone on each scale, with the recordings and the best stock voice as references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voiceclone.evaluation.in_words import TENTHS, Findings
from voiceclone.evaluation.metrics_opinion import HIGHEST, LOWEST

STOCK, RECORDINGS = "stock", "recordings"  # kinds of reference voices


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A reference voice on the scale of a bar."""

    title: str
    value: str
    share: float
    """Position on the scale, 0-1."""
    kind: str
    """:data:`STOCK` or :data:`RECORDINGS`: each is drawn in one way on all bars."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One metric of the clone. Where it was not measured, ``share`` is None and ``value`` gives the reason."""

    title: str
    value: str
    share: float | None
    """Position of the clone on the scale, 0-1."""
    low: str = ""
    """Meaning of the left end of the scale."""
    high: str = ""
    marks: tuple[Mark, ...] = ()

    @property
    def spoken(self) -> str:
        """Text equivalent of the bar for screen readers."""
        others = "".join(f"; {mark.title}: {mark.value}" for mark in self.marks)
        return f"{self.title}: {self.value}{others}"


def bars_of(found: Findings) -> list[Bar]:
    """The bars that can be drawn, in display order."""
    return [bar for bar in (_likeness(found), _understood(found), _natural(found)) if bar is not None]


def three_bars(found: Findings, left_out: Sequence[str]) -> list[Bar]:
    """All three bars.

    A bar without a value gives the reason, from the line of ``left_out`` that begins with its metric.
    """

    def missing(title: str, *begins: str) -> Bar:
        why = next((line.partition(": ")[2] for line in left_out if line.startswith(begins)), "")
        return Bar(title=title, value=f"not measured{': ' if why else ''}{why}", share=None)

    return [
        _likeness(found) or Bar(title="Likeness", value="cannot be said: the judge hardly tells you apart", share=None),
        _understood(found) or missing("Words understood", "word error rate", "phone error rate"),
        _natural(found) or missing("Naturalness", "naturalness"),
    ]


def _likeness(found: Findings) -> Bar | None:
    tenths = found.tenths(found.clone)
    if tenths is None:
        return None

    def place(similarity: float) -> float:
        return _within((similarity - found.stranger) / (found.recordings - found.stranger))

    marks: tuple[Mark, ...] = ()
    if found.nearest is not None:
        value = f"{found.tenths(found.nearest)} of {TENTHS}"
        marks = (Mark(title=_stock(found), value=value, share=place(found.nearest), kind=STOCK),)
    return Bar(title="Likeness", value=f"{tenths} of {TENTHS}", share=place(found.clone), low="a stranger",
               high="a second recording of you", marks=marks)  # fmt: skip


def _understood(found: Findings) -> Bar | None:
    if found.understood is None:
        return None
    marks: tuple[Mark, ...] = ()
    if found.understood_recordings is not None:
        share = found.understood_recordings
        marks = (Mark(title="your recordings", value=f"{100 * share:.0f} %", share=_within(share), kind=RECORDINGS),)
    return Bar(title=f"{found.counted.capitalize()} understood", value=f"{100 * found.understood:.0f} %",
               share=_within(found.understood), low="none", high=f"all {found.counted}", marks=marks)  # fmt: skip


def _natural(found: Findings) -> Bar | None:
    if found.natural is None:
        return None
    others = (
        ("your recordings", found.natural_recordings, RECORDINGS),
        (_stock(found), found.natural_nearest, STOCK),
    )
    marks = tuple(
        Mark(title=title, value=f"{score:.1f} of 5", share=_opinion(score), kind=kind)
        for title, score, kind in others
        if score is not None
    )
    return Bar(title="Naturalness", value=f"{found.natural:.1f} of 5", share=_opinion(found.natural), low="bad (1)",
               high="excellent (5)", marks=marks)  # fmt: skip


def _stock(found: Findings) -> str:
    name = found.nearest_name
    return name if name.startswith("best stock voice") else f"best stock voice, {name}"


def _opinion(score: float) -> float:
    return _within((score - LOWEST) / (HIGHEST - LOWEST))


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))
