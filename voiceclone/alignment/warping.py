"""Dynamic time warping between two utterances of the same words, and mapping of boundaries along its path."""

from __future__ import annotations

import numpy as np

from voiceclone.system.compiled import load_librosa

_SIDEWAYS = 1.2  # cost of horizontal and vertical steps beside diagonal ones: avoids long flat segments


def warp_path(cost: np.ndarray, *, sideways: float = _SIDEWAYS) -> tuple[float, np.ndarray]:
    """The path of lowest cost through ``(R, T)`` from corner to corner.

    Args:
        cost: of every cell.
        sideways: factor on the cost of horizontal and vertical steps; diagonal ones have 1.

    Returns:
        Mean cost of a step, and the cells of the path ``(steps, 2)``, ascending.
    """
    weights = np.array([1.0, sideways, sideways])
    total, path = load_librosa().sequence.dtw(C=cost, subseq=False, backtrack=True, weights_mul=weights)
    return float(total[-1, -1]) / len(path), path[::-1]


def carried(boundaries: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Map boundaries along a path: float ``(B,)``, in frames of the second axis.

    Args:
        boundaries: int ``(B,)``; boundary ``b`` lies between frames ``b - 1`` and ``b`` of the first axis, both on the
            path.
        path: cells ``(steps, 2)``.
    """
    found = np.empty(len(boundaries))
    for index, boundary in enumerate(boundaries):
        before, after = path[path[:, 0] == boundary - 1, 1], path[path[:, 0] == boundary, 1]
        found[index] = (before.max() + after.min() + 1) / 2
    return found
