"""Which frames of a clip belong to which phoneme: dynamic time warping against the base's own synthesis.

The base speaks the clip's phonemes, so its phone boundaries are known; warping its mel onto the clip's mel carries them
over. With them the decoder can be teacher-forced: the loss compares the same phones, not two different tempos.

With a phone classifier, its posteriors of either signal count beside the mel (posteriorgrams: Hazen, Shen and White
2009): two voices differ less in them. On twelve utterances of Kokoro-82M, whose boundaries are known, that takes
10 % off the error where Kokoro itself aligns (24.7 to 22.1 ms), 15 % where nano does (27.5 to 23.3 ms).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from voiceclone.alignment.durations import whole_frames
from voiceclone.alignment.warping import carried, warp_path

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
    frames = target_mel.shape[1] // 2
    if frames < len(spoken_durations):
        raise ValueError(f"{frames} frames cannot hold {len(spoken_durations)} tokens")
    spoken, target = _mean_free(spoken_mel), _mean_free(target_mel)
    distance = 1.0 - spoken.T @ target  # both are unit columns: cosine distance
    cost = distance if posteriors is None else distance + POSTERIOR_WEIGHT * _phone_distance(*posteriors)
    _, path = warp_path(cost)
    inner = carried(np.cumsum(spoken_durations.cpu().numpy())[:-1] * 2, path) / 2  # a mel has two frames in one
    return Alignment(
        durations=torch.from_numpy(whole_frames(np.concatenate([[0.0], inner, [frames]]), frames)),
        score=float(1.0 - distance[path[:, 0], path[:, 1]].mean()),
    )


def stretched(spoken_durations: Tensor, frames: int) -> Alignment:
    """The base's own durations ``(T,)``, stretched evenly to ``frames``: what is left without warping."""
    ends = np.cumsum(spoken_durations.cpu().numpy()) * (frames / int(spoken_durations.sum()))
    return Alignment(durations=torch.from_numpy(whole_frames(np.concatenate([[0.0], ends]), frames)), score=0.0)


def _phone_distance(spoken: Tensor, target: Tensor) -> np.ndarray:
    """1 - Bhattacharyya coefficient of each two frames' probabilities, ``(2G, 2F)``: a mel has two frames in one."""
    spoken, target = (torch.repeat_interleave(p.detach().float().cpu().sqrt(), 2, dim=1) for p in (spoken, target))
    return (1.0 - spoken.T @ target).numpy()


def _mean_free(mel: Tensor) -> np.ndarray:
    """Subtract each channel's mean (timbre, room and level), then scale frames to unit length."""
    values = mel.detach().float().cpu().numpy()
    values = values - values.mean(axis=1, keepdims=True)
    return values / (np.linalg.norm(values, axis=0, keepdims=True) + 1e-6)
