"""Alignment of a recording to a text by dynamic programming with pauses, foreign sound and skipped text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SKIP_EVERY = 4  # steps
_FAR = np.float32(1e9)
_SKIPPED, _TURNED = 3, 4


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Costs of steps of 40 ms other than advancing by one frame of the text, in the units of the cost model."""

    right: float
    """Typical cost of a frame of the right word."""
    foreign: float
    """One step of sound that is not in the text."""
    turn: float
    """Entering such sound, once."""
    stay: float
    """One step slower than the synthesis."""
    hop: float
    """One step faster than the synthesis."""
    skip: float
    """Skipping text, once."""
    skip_step: float
    """Skipping text, for each step of the synthesis."""


def cheapest_path(
    costs: np.ndarray, pause_rows: np.ndarray, prices: Prices, *, whole: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Find the path of lowest cost.

    Args:
        costs: float32 ``(T, N)``, of every step of the recording against every row of the text.
        pause_rows: bool ``(N,)``: rows that are pauses, including the first and the last.
        prices: costs of the other steps.
        whole: the path ends in the last row. Otherwise it may end in any row, with a preference for the last one,
            because a short rest of the text is usually spoken, even if faintly.

    Returns:
        The row of each step ``(T,)``, whether it is foreign sound ``(T,)``, and the mean cost of a step.
    """
    steps, rows = costs.shape
    pause_at = np.flatnonzero(pause_rows)
    stay = np.where(pause_rows, 0.0, prices.stay).astype(np.float32)
    hop = np.full(rows, prices.hop, dtype=np.float32)
    hop[1:][pause_rows[:-1]] = 0.0  # skip the pause between two words
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
    """Back-pointers of the search."""

    def __init__(self, pause_at: np.ndarray, steps: int, rows: int) -> None:
        self.pause_at = pause_at
        self.moves = np.zeros((steps, rows), dtype=np.int8)
        """Rows moved since the step before, or SKIPPED or TURNED."""
        self.turned = np.zeros((steps, len(pause_at)), dtype=bool)
        """Whether foreign sound began with this step."""
        self.skipped_from: dict[int, np.ndarray] = {}

    def trace(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows ``(T,)`` of the path that ends in ``row``, and whether each step is foreign sound ``(T,)``."""
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
    """Transitions between pauses and foreign sound, where they lower the cost."""
    came = paused + np.float32(once)
    turned[:] = came < foreign
    np.minimum(foreign, came, out=foreign)
    back = foreign < paused
    move[pause_at[back]] = _TURNED
    np.minimum(paused, foreign, out=paused)


def _skip(paused: np.ndarray, move: np.ndarray, skip: np.ndarray, once: float, pause_at: np.ndarray) -> np.ndarray:
    """Transitions that skip words, where they lower the cost; returns the predecessor of each pause."""
    values = paused - skip
    lowest = np.minimum.accumulate(values)
    source = np.maximum.accumulate(np.where(values <= lowest, np.arange(len(values)), 0))
    came = lowest[:-1] + skip[1:] + np.float32(once)
    better = np.flatnonzero(came < paused[1:]) + 1
    paused[better] = came[better - 1]
    move[pause_at[better]] = _SKIPPED
    return np.append(0, source[:-1]).astype(np.int32)
