"""Which frames of a clip belong to which phoneme: dynamic time warping against the base's own synthesis.

The base speaks the clip's phonemes, so its phone boundaries are known; warping its mel onto the clip's mel carries them
over. With them the decoder can be teacher-forced: the loss compares the same phones, not two different tempos.

With a phone classifier, its posteriors of either signal count beside the mel (posteriorgrams: Hazen, Shen and White
2009): two voices differ less in them. On synthesised clips, whose boundaries are known, that takes a third off
the error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from voiceclone.system.compiled import load_librosa

POSTERIOR_WEIGHT = 2.0  # of the phones' distance (0 to 1) beside the mel's (a cosine distance)


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """Phone durations of a clip."""

    durations: Tensor = field(repr=False)  # (T,) int64, frames of 25 ms, each >= 1
    score: float  # mean cosine of the aligned, mean-free log-mel frames: 1 is the same sound, 0 unrelated


def align(
    spoken_mel: Tensor,
    spoken_durations: Tensor,
    target_mel: Tensor,
    posteriors: tuple[Tensor, Tensor] | None = None,
) -> Alignment:
    """Carry phone boundaries from synthesis to clip.

    Args:
        spoken_mel: log-mel ``(80, 2G)`` of the synthesis.
        spoken_durations: its durations ``(T,)`` in frames of 25 ms, summing to ``G``.
        target_mel: log-mel ``(80, 2F)`` of the clip, ``F >= T``.
        posteriors: the phone classifier's, of synthesis ``(phones, G)`` and clip ``(phones, F)``.

    Raises:
        ValueError: the clip has fewer frames than tokens.
    """
    librosa = load_librosa()
    frames = target_mel.shape[1] // 2
    if frames < len(spoken_durations):
        raise ValueError(f"{frames} frames cannot hold {len(spoken_durations)} tokens")
    spoken, target = _mean_free(spoken_mel), _mean_free(target_mel)
    distance = 1.0 - spoken.T @ target  # both are unit columns: cosine distance
    cost = distance if posteriors is None else distance + POSTERIOR_WEIGHT * _phone_distance(*posteriors)
    # Steps along one axis alone cost a little more than diagonal ones: it keeps the path from running flat.
    _, path = librosa.sequence.dtw(C=cost, subseq=False, backtrack=True, weights_mul=np.array([1.0, 1.2, 1.2]))
    path = path[::-1]
    boundaries = np.cumsum(spoken_durations.cpu().numpy())[:-1] * 2
    carried = np.array([_carry(int(boundary), path) for boundary in boundaries]) / 2
    return Alignment(
        durations=torch.from_numpy(to_whole_frames(carried, frames)),
        score=float(1.0 - distance[path[:, 0], path[:, 1]].mean()),
    )


def stretched(spoken_durations: Tensor, frames: int) -> Alignment:
    """The base's own durations ``(T,)``, stretched evenly to ``frames``: what is left without warping."""
    inner = np.cumsum(spoken_durations.cpu().numpy())[:-1] * (frames / int(spoken_durations.sum()))
    return Alignment(durations=torch.from_numpy(to_whole_frames(inner, frames)), score=0.0)


def _phone_distance(spoken: Tensor, target: Tensor) -> np.ndarray:
    """1 - Bhattacharyya coefficient of each two frames' probabilities, ``(2G, 2F)``: a mel has two frames in one."""
    spoken, target = (torch.repeat_interleave(p.detach().float().cpu().sqrt(), 2, dim=1) for p in (spoken, target))
    return (1.0 - spoken.T @ target).numpy()


def _carry(boundary: int, path: np.ndarray) -> float:
    """Where the path ``(steps, 2)`` takes the boundary between synthesis frames ``boundary - 1`` and ``boundary``."""
    before, after = path[path[:, 0] == boundary - 1, 1], path[path[:, 0] == boundary, 1]
    return (before.max() + after.min() + 1) / 2


def to_whole_frames(boundaries: np.ndarray, frames: int) -> np.ndarray:
    """Inner boundaries ``(T - 1,)`` in frames to durations ``(T,)`` int64 >= 1 that sum to ``frames``."""
    count = len(boundaries) + 1
    lowest = np.arange(1, count)
    highest = frames - np.arange(count - 1, 0, -1)
    placed = np.clip(np.round(boundaries).astype(np.int64), lowest, highest)
    # Keep every boundary at least one frame after the one before it, then at most what the rest still needs.
    placed = np.maximum.accumulate(placed - lowest) + lowest
    placed = np.minimum(placed, highest)
    return np.diff(np.concatenate([[0], placed, [frames]])).astype(np.int64)


def _mean_free(mel: Tensor) -> np.ndarray:
    """Subtract each channel's mean (timbre, room and level), then scale frames to unit length."""
    values = mel.detach().float().cpu().numpy()
    values = values - values.mean(axis=1, keepdims=True)
    return values / (np.linalg.norm(values, axis=0, keepdims=True) + 1e-6)
