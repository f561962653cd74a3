"""From tokens with durations to codec frames."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_ends(durations: Tensor, rate: float) -> Tensor:
    """The codec frame at which each token ends, int64 ``(B, N)``.

    The sums are rounded, not the durations: errors do not add up.

    Args:
        durations: ``(B, N)``, 0 or more, in any unit.
        rate: codec frames in one unit.
    """
    # In float64: a sum of float32 may round to the other side.
    return torch.round(durations.double().cumsum(dim=1) * rate).long()


def frame_tokens(ends: Tensor, frames: int | None = None) -> tuple[Tensor, Tensor]:
    """The token of every codec frame, int64 ``(B, T)``, and which frames are spoken, bool ``(B, T)``.

    Args:
        ends: as of :func:`frame_ends`.
        frames: T; the longest row's when None.
    """
    lengths = ends[:, -1]
    frames = int(lengths.max()) if frames is None else frames
    place = torch.arange(frames, device=ends.device).expand(len(ends), frames).contiguous()
    tokens = torch.searchsorted(ends.contiguous(), place, right=True).clamp(max=ends.shape[1] - 1)
    return tokens, place < lengths[:, None]


def expand(features: Tensor, tokens: Tensor) -> Tensor:
    """Features of tokens ``(B, N, dim)`` laid out over frames whose tokens are ``tokens`` ``(B, T)``."""
    return features.gather(1, tokens.unsqueeze(-1).expand(-1, -1, features.shape[-1]))
