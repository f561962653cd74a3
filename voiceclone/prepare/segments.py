"""Choosing cuts: at pauses between words, into clips of the wanted length, losing as few words as possible.

The best set of cuts is found by dynamic programming: long pauses at the ends of sentences are preferred, words that do
not fit the audio are separated, and segments that cannot be part of a clip are left out with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voiceclone.alignment.reading import NO_BREAK, PHRASE, SENTENCE
from voiceclone.alignment.recording_features import CELL, runs

SHORTEST_PAUSE = 0.15  # seconds; cuts in shorter pauses are audible
LONGEST_PAUSE = 2.0  # seconds within a clip
PAD = 0.12  # seconds of the pause kept at each end of a clip
_SURE_GAP, _DOUBT_PRICE = 0.25, 4.0  # a cut beside a word with a larger gap costs the excess times the price
_LOST_SECOND = 1.2  # price of a second of speech that is in no clip
_BREAK_PRICE = {NO_BREAK: 1.0, PHRASE: 0.3, SENTENCE: 0.0}
_SHORT, _LONG = 0.3, 1.5  # seconds; pauses up to the first are no phrase boundary, pauses from the second on are one
_REST = 0.35  # seconds; more audio than this beside a unit is not allowed
_LENGTH_PRICE = 0.5  # price of a clip of the minimum or maximum length


@dataclass(frozen=True, kw_only=True)
class Unit:
    """An indivisible unit: a word, or a subtitle."""

    start: float
    """Seconds in the recording."""
    end: float
    break_after: int = SENTENCE
    """NO_BREAK, PHRASE or SENTENCE."""
    apart: bool = False
    """Before it is audio without text, or text without audio, which goes into no clip."""
    doubt: float = 0.0
    """Gap between its audio and its text, typically 0.2; with a large gap the boundary of the word is uncertain."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Units ``first`` to ``last`` (not included), which become a clip unless there is a problem."""

    first: int
    last: int
    start: float
    """Seconds in the recording, including the pauses at its ends."""
    end: float
    problem: str | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class _Edge:
    """The pause before a unit: end of the sound before it, start of the sound after it."""

    out: float
    into: float
    cuttable: bool
    price: float
    rest_before: bool = False
    """There is audio between the unit before and the pause that belongs to no unit."""
    rest_after: bool = False
    """The same between the pause and the unit after."""


def cut_recording(
    units: Sequence[Unit],
    silent: np.ndarray,
    *,
    min_seconds: float,
    max_seconds: float,
    fits: Callable[[int, int], bool] = lambda first, last: True,
    reach: float = 0.12,
    whole: bool = False,
) -> list[Stretch]:
    """Cut a recording.

    Args:
        units: in order.
        silent: bool, one value per 10 ms of the recording.
        min_seconds: shortest clip. max_seconds: longest.
        fits: whether units ``first`` to ``last`` fit their audio well enough for a clip.
        reach: tolerance of the units' times, seconds.
        whole: do not cut.

    Returns:
        segments that contain every unit once, in order; those that are no clips have a problem.
    """
    if not units:
        return []
    pauses = CELL * np.array(runs(silent), dtype=np.float64).reshape(-1, 2)
    edges = [_edge(units, pauses, index, len(silent) * CELL, reach) for index in range(len(units) + 1)]
    places = [index for index, edge in enumerate(edges) if edge.cuttable]
    if whole:
        places = [0, len(units)]

    def price(first: int, last: int) -> tuple[float, bool]:
        stretch = _stretch(edges, first, last)
        usable = min_seconds <= stretch.seconds <= max_seconds and _problem(units, edges, stretch) is None
        if not usable or not fits(first, last):
            return _LOST_SECOND * stretch.seconds, False
        ends = edges[first].price + edges[last].price
        return ends + _length_price(stretch.seconds, min_seconds, max_seconds), True

    def too_long(first: int, last: int) -> bool:
        return _stretch(edges, first, last).seconds > max_seconds

    found = []
    for first, last, good in _cheapest(places, price, too_long):
        stretch = _stretch(edges, first, last)
        why = None if good else _why_not(units, edges, stretch, min_seconds, max_seconds)
        found.append(replace(stretch, problem=why))
    return found


def _cheapest(
    places: Sequence[int], price: Callable[[int, int], tuple[float, bool]], too_long: Callable[[int, int], bool]
) -> list[tuple[int, int, bool]]:
    """The cheapest segmentation: (first, last, whether it is a clip) of each segment.

    Args:
        price: of a segment between two positions, and whether it is a clip; other segments are between neighbours.
    """
    best = [0.0] + [np.inf] * (len(places) - 1)
    origin: list[tuple[int, bool]] = [(0, False)] * len(places)
    for there in range(1, len(places)):
        for here in range(there - 1, -1, -1):
            neighbour = here == there - 1
            if not neighbour and too_long(places[here], places[there]):
                break
            cost, good = price(places[here], places[there])
            if (good or neighbour) and best[here] + cost < best[there]:
                best[there], origin[there] = best[here] + cost, (here, good)
    way, there = [], len(places) - 1
    while there > 0:
        here, good = origin[there]
        way.append((places[here], places[there], good))
        there = here
    return way[::-1]


def _length_price(seconds: float, low: float, high: float) -> float:
    if not np.isfinite(high) or high <= low:
        return 0.0
    return _LENGTH_PRICE * ((2.0 * seconds - low - high) / (high - low)) ** 2


def _why_not(units: Sequence[Unit], edges: list[_Edge], stretch: Stretch, low: float, high: float) -> str:
    if stretch.seconds > high:
        return f"no pause: {stretch.seconds:.1f} s without a pause to cut at, at most {high:g} s"
    if stretch.seconds < low:
        return f"too short: {stretch.seconds:.1f} s that fit to nothing beside them, at least {low:g} s"
    return _problem(units, edges, stretch) or "text and sound differ"


def _problem(units: Sequence[Unit], edges: list[_Edge], stretch: Stretch) -> str | None:
    if edges[stretch.first].rest_after or edges[stretch.last].rest_before:
        return "text and sound differ: there is more sound beside it"
    for index in range(stretch.first + 1, stretch.last):
        if units[index].apart:
            return "text and sound differ: something lies between its words"
        if edges[index].into - edges[index].out > LONGEST_PAUSE:
            return f"long pause: {edges[index].into - edges[index].out:.1f} s, at most {LONGEST_PAUSE:g} s"
    return None


def _stretch(edges: list[_Edge], first: int, last: int) -> Stretch:
    return Stretch(
        first=first,
        last=last,
        start=max(edges[first].into - min(PAD, 0.5 * (edges[first].into - edges[first].out)), 0.0),
        end=edges[last].out + min(PAD, 0.5 * (edges[last].into - edges[last].out)),
    )


def _edge(units: Sequence[Unit], pauses: np.ndarray, index: int, seconds: float, reach: float) -> _Edge:
    """The silence around the boundary before unit ``index``."""
    outer = index in (0, len(units))
    end = units[index - 1].end if index else 0.0
    start = units[index].start if index < len(units) else seconds
    # Words' times may be wrong, but not by more than half a word.
    before = 0.5 * (units[index - 1].start + end) if index else 0.0
    after = 0.5 * (start + units[index].end) if index < len(units) else seconds
    low, high = max(before, min(end, start) - reach), min(after, max(end, start) + reach)
    inside = pauses[(pauses[:, 0] < high) & (pauses[:, 1] > low)]
    if not len(inside):
        out, into = (end, start) if outer else (0.5 * (end + start),) * 2
        return _Edge(out=out, into=into, cuttable=outer, price=_BREAK_PRICE[NO_BREAK])
    inside = np.clip(inside, before, after)
    lengths = inside[:, 1] - inside[:, 0]
    # A cut needs a pause; short silences of plosives beside it do not count.
    long = inside[lengths >= SHORTEST_PAUSE] if lengths.max() >= SHORTEST_PAUSE else inside[[lengths.argmax()]]
    out, into = float(long[0, 0]), float(long[-1, 1])
    pause = float((long[:, 1] - long[:, 0]).max())
    price = 0.0
    if not outer:
        doubt = max(units[index - 1].doubt, units[index].doubt)
        kind = units[index - 1].break_after
        # For texts without punctuation, or speakers who pause elsewhere, the longest pauses are the boundaries.
        like_a_phrase = min(max((pause - _SHORT) / (_LONG - _SHORT), 0.0), 1.0)
        price = _BREAK_PRICE[kind]
        if kind == NO_BREAK:
            price -= like_a_phrase * (_BREAK_PRICE[NO_BREAK] - _BREAK_PRICE[PHRASE])
        price += max(0.0, _SHORT - pause) / 0.15 + _DOUBT_PRICE * max(0.0, doubt - _SURE_GAP)
    loud = _loud(inside)
    return _Edge(
        out=out,
        into=into,
        cuttable=outer or pause >= SHORTEST_PAUSE,
        price=price,
        rest_before=loud(end, out) > _REST,
        rest_after=loud(into, start) > _REST,
    )


def _loud(pauses: np.ndarray) -> Callable[[float, float], float]:
    """Seconds between two times that are in none of the pauses ``(N, 2)``."""

    def seconds(first: float, last: float) -> float:
        silent = np.minimum(pauses[:, 1], last) - np.maximum(pauses[:, 0], first)
        return last - first - float(np.maximum(silent, 0.0).sum())

    return seconds
