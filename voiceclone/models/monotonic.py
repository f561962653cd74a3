"""Monotonic alignment search (Kim et al. 2020): the most likely monotonic alignment of frames to tokens."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


@torch.no_grad()
def best_paths(log_likelihood: Tensor, tokens: Tensor, frames: Tensor) -> Tensor:
    """The best alignment of each row. Every token gets a contiguous range of frames, in order.

    Args:
        log_likelihood: ``(B, N, T)``, of frame t in token n.
        tokens: int64 ``(B,)``, number of tokens of each row; at most its number of frames.
        frames: int64 ``(B,)``, number of frames of each row.

    Returns:
        float32 ``(B, N, T)``, 1 where a frame is aligned to a token.

    Raises:
        ValueError: a row has fewer frames than tokens.
    """
    if bool((frames < tokens).any()):
        row = int((frames < tokens).nonzero()[0])
        raise ValueError(f"{int(frames[row])} frames cannot hold {int(tokens[row])} states")
    try:
        from monotonic_alignment_search import maximum_path
    except ImportError:  # no wheels for Intel Macs and Linux on ARM
        return _searched(log_likelihood, tokens, frames)
    inside = _upto(tokens, log_likelihood.shape[1]).unsqueeze(2) & _upto(frames, log_likelihood.shape[2]).unsqueeze(1)
    value = log_likelihood.float().contiguous()
    return maximum_path(value, inside.float()).float()


def _searched(log_likelihood: Tensor, tokens: Tensor, frames: Tensor) -> Tensor:
    """The same in numpy: a loop over frames, vectorised over tokens and rows."""
    value = log_likelihood.detach().float().cpu().numpy()
    batch, count, longest = value.shape
    stays = np.zeros((longest, batch, count), dtype=bool)
    best = np.full((batch, count), -np.inf, dtype=np.float32)
    best[:, 0] = value[:, 0, 0]
    for frame in range(1, longest):
        entered = np.concatenate([np.full((batch, 1), -np.inf, dtype=np.float32), best[:, :-1]], axis=1)
        stays[frame] = best >= entered
        best = np.maximum(best, entered) + value[:, :, frame]
    path = np.zeros_like(value)
    for row in range(batch):
        token = int(tokens[row]) - 1
        for frame in range(int(frames[row]) - 1, -1, -1):
            path[row, token, frame] = 1.0
            # As many frames are left as tokens: each frame advances one token.
            if token and (frame == token or not stays[frame, row, token]):
                token -= 1
    return torch.from_numpy(path).to(log_likelihood.device)


def _upto(lengths: Tensor, most: int) -> Tensor:
    return torch.arange(most, device=lengths.device)[None] < lengths[:, None]
