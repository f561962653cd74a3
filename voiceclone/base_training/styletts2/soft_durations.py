"""Durations with a gradient: every frame hears the tokens by how near their middles are."""

from __future__ import annotations

import torch
from torch import Tensor

SHARPNESS = 0.4
"""Standard deviation of a token's window over its duration."""
LEAST = 0.3
"""Frames: a token is never narrower, so that its window has a gradient."""


def soft_durations(logits: Tensor, mask: Tensor) -> Tensor:
    """Logits of "longer than k frames" ``(B, N, K)`` to durations in frames ``(B, N)``, 0 in the padding."""
    return torch.sigmoid(logits).sum(-1) * mask


def soft_alignment(durations: Tensor, mask: Tensor, frames: int) -> Tensor:
    """How much each token is heard in each frame, ``(B, N, frames)``; sums to 1 over the tokens.

    Of hand-made sharp durations the loudest token is the one that a hard alignment gives in nine of ten frames; the
    convolution over logits in StyleTTS2's code reaches seven.

    Args:
        durations: ``(B, N)`` in frames.
        mask: ``(B, N)``, True at tokens.
    """
    ends = durations.cumsum(1)
    middles = ends - 0.5 * durations
    widths = SHARPNESS * durations.clamp(min=LEAST)
    places = torch.arange(frames, device=durations.device) + 0.5
    distance = (places[None, None, :] - middles[:, :, None]) / widths[:, :, None]
    return (-0.5 * distance.square()).masked_fill(~mask[:, :, None], -1e9).softmax(dim=1)
