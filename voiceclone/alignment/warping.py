"""Dynamic time warping of one utterance's frames onto another's of the same words, and where boundaries go with it."""

from __future__ import annotations

import numpy as np

from voiceclone.system.compiled import load_librosa

# A step along one axis alone costs a little more than one along both: it keeps the path from running flat.
_SIDEWAYS = 1.2


def warp_path(cost: np.ndarray) -> tuple[float, np.ndarray]:
    """The cheapest path through costs ``(R, T)`` from corner to corner.

    Returns:
        the cost a step, and the path's cells ``(steps, 2)``, ascending.
    """
    weights = np.array([1.0, _SIDEWAYS, _SIDEWAYS])
    total, path = load_librosa().sequence.dtw(C=cost, subseq=False, backtrack=True, weights_mul=weights)
    return float(total[-1, -1]) / len(path), path[::-1]


def carried(boundaries: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Where a path takes boundaries: float ``(B,)``, in frames of the second axis.

    Args:
        boundaries: int ``(B,)``; ``b`` lies between frames ``b - 1`` and ``b`` of the first axis, both on the path.
    """
    found = np.empty(len(boundaries))
    for index, boundary in enumerate(boundaries):
        before, after = path[path[:, 0] == boundary - 1, 1], path[path[:, 0] == boundary, 1]
        found[index] = (before.max() + after.min() + 1) / 2
    return found
