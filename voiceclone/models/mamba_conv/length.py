"""Length regulation: from tokens with durations to codec frames."""

from __future__ import annotations

import torch
from torch import Tensor


def frame_ends(durations: Tensor, rate: float) -> Tensor:
    """The codec frame at which each token ends, int64 ``(B, N)``.

    The cumulative sums are rounded, not the durations, so that rounding errors do not accumulate.

    Args:
        durations: ``(B, N)``, 0 or more, in any unit.
        rate: codec frames per unit.
    """
    # In float64, because a float32 sum may be rounded to the wrong side.
    return torch.round(durations.double().cumsum(dim=1) * rate).long()


def frame_tokens(ends: Tensor, frames: int | None = None) -> tuple[Tensor, Tensor]:
    """The token of every codec frame, int64 ``(B, T)``, and a mask of the valid frames, bool ``(B, T)``.

    Args:
        ends: result of :func:`frame_ends`.
        frames: T; that of the longest row when None.
    """
    lengths = ends[:, -1]
    frames = int(lengths.max()) if frames is None else frames
    place = torch.arange(frames, device=ends.device).expand(len(ends), frames).contiguous()
    tokens = torch.searchsorted(ends.contiguous(), place, right=True).clamp(max=ends.shape[1] - 1)
    return tokens, place < lengths[:, None]


def expand_tokens(features: Tensor, tokens: Tensor) -> Tensor:
    """Expand token features ``(B, N, dim)`` to frames with the token indices ``tokens`` ``(B, T)``."""
    return features.gather(1, tokens.unsqueeze(-1).expand(-1, -1, features.shape[-1]))
