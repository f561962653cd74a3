"""The cheapest way of a recording through a text: dynamic programming with pauses, foreign sound and skipped text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SKIP_EVERY = 4  # steps
_FAR = np.float32(1e9)
_SKIPPED, _TURNED = 3, 4


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What a step of 40 ms costs that is not simply the next sound of the text; the unit is the cost model's."""

    right: float
    """About what a frame of the right word costs."""
    foreign: float
    """A step of sound that is not in the text."""
    turn: float
    """Turning to such sound, once."""
    stay: float
    """A step slower than the reading."""
    hop: float
    """A step faster than the reading."""
    skip: float
    """Leaving out text, once."""
    skip_step: float
    """Leaving out text, each step of the reading."""


def cheapest_path(
    costs: np.ndarray, pause_rows: np.ndarray, prices: Prices, *, whole: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """The cheapest way through costs.

    Args:
        costs: float32 ``(T, N)``, of every step of the recording against every row of the text.
        pause_rows: bool ``(N,)``: rows that are pauses, the first and the last among them.
        whole: the way ends in the last row; otherwise it may end in any, and rather in the last: what little is left
            of a text is mostly said, if faintly.

    Returns:
        the row of each step ``(T,)``, whether it is foreign sound ``(T,)``, and the cost a step.
    """
    steps, rows = costs.shape
    pause_at = np.flatnonzero(pause_rows)
    stay = np.where(pause_rows, 0.0, prices.stay).astype(np.float32)
    hop = np.full(rows, prices.hop, dtype=np.float32)
    hop[1:][pause_rows[:-1]] = 0.0  # no pause between two words
    skip = (prices.skip_step * (pause_at - np.arange(len(pause_at)))).astype(np.float32)
    total, foreign = np.full(rows, _FAR), np.full(len(pause_at), _FAR)
    total[:2] = costs[0, :2]
    foreign[0] = prices.foreign + prices.turn
    ways = _Ways(pause_at, steps, rows)
    for step in range(1, steps):
        best, move = total + stay, ways.moves[step]
        for hops, price in ((1, 0.0), (2, hop[2:])):
            came = total[:-hops] + price
            better = came < best[hops:]
            move[hops:][better] = hops
            np.minimum(best[hops:], came, out=best[hops:])
        best += costs[step]
        foreign += prices.foreign
        paused = best[pause_at]
        _turn(paused, foreign, move, ways.turned[step], prices.turn, pause_at)
        if step % _SKIP_EVERY == 0:
            ways.skipped_from[step] = _skip(paused, move, skip, prices.skip, pause_at)
        best[pause_at] = paused
        total = best
    row = rows - 1 if whole or total[-1] <= total.min() + prices.turn else int(total.argmin())
    return *ways.trace(row), float(total[row]) / steps


class _Ways:
    """Where every cell was reached from."""

    def __init__(self, pause_at: np.ndarray, steps: int, rows: int) -> None:
        self.pause_at = pause_at
        self.moves = np.zeros((steps, rows), dtype=np.int8)
        """Rows moved since the step before, or SKIPPED or TURNED."""
        self.turned = np.zeros((steps, len(pause_at)), dtype=bool)
        """Whether foreign sound began with this step."""
        self.skipped_from: dict[int, np.ndarray] = {}

    def trace(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows ``(T,)`` of the way that ends in ``row``, and where it is foreign ``(T,)``."""
        path = np.empty(len(self.moves), dtype=np.int64)
        outside = np.zeros(len(path), dtype=bool)
        foreign = False
        for step in range(len(path) - 1, -1, -1):
            if not foreign and self.moves[step, row] == _SKIPPED:
                row = int(self.pause_at[self.skipped_from[step][np.searchsorted(self.pause_at, row)]])
            foreign = foreign or self.moves[step, row] == _TURNED
            path[step], outside[step] = row, foreign
            if foreign:
                foreign = not self.turned[step, np.searchsorted(self.pause_at, row)]
            else:
                row -= int(self.moves[step, row])
        return path, outside


def _turn(
    paused: np.ndarray, foreign: np.ndarray, move: np.ndarray, turned: np.ndarray, once: float, pause_at: np.ndarray
) -> None:
    """Go from pauses to sound that is not in the text, and back, where that is cheaper."""
    came = paused + np.float32(once)
    turned[:] = came < foreign
    np.minimum(foreign, came, out=foreign)
    back = foreign < paused
    move[pause_at[back]] = _TURNED
    np.minimum(paused, foreign, out=paused)


def _skip(paused: np.ndarray, move: np.ndarray, skip: np.ndarray, once: float, pause_at: np.ndarray) -> np.ndarray:
    """Leave out words where that is cheaper; returns for each pause the one it was reached from."""
    values = paused - skip
    lowest = np.minimum.accumulate(values)
    source = np.maximum.accumulate(np.where(values <= lowest, np.arange(len(values)), 0))
    came = lowest[:-1] + skip[1:] + np.float32(once)
    better = np.flatnonzero(came < paused[1:]) + 1
    paused[better] = came[better - 1]
    move[pause_at[better]] = _SKIPPED
    return np.append(0, source[:-1]).astype(np.int32)
