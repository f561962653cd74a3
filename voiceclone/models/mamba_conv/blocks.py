"""Layers of text encoder and token decoder: a causal sequence mixer in parallel with look-ahead convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.mixers import make_mixer

KERNEL = 3
GROUPS = 4


class SideConvs(nn.Module):
    """Parallel dilated convolutions, a pointwise convolution over all channels, residual connection, layer norm.

    Args:
        dim: channels.
        dilations: one convolution of ``dim / len(dilations)`` channels each.
        right: the receptive field covers the current and later frames only; otherwise it is symmetric.
    """

    def __init__(self, dim: int, dilations: Sequence[int], *, right: bool) -> None:
        super().__init__()
        width = dim // len(dilations)
        if width * len(dilations) != dim or width % GROUPS:
            raise ValueError(f"{dim} channels cannot be shared by {len(dilations)} convolutions in {GROUPS} groups")
        self.convs = nn.ModuleList(nn.Conv1d(dim, width, KERNEL, dilation=d, groups=GROUPS) for d in dilations)
        self.right = right
        self.pointwise = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, dim)``, zero in the padding, to the same shape."""
        parts = []
        for conv in self.convs:
            reach = (KERNEL - 1) * conv.dilation[0]
            parts.append(conv(F.pad(x.mT, (0, reach) if self.right else (reach // 2, reach // 2))))
        return self.norm(x + self.pointwise(F.silu(torch.cat(parts, dim=1)).mT))


class MambaConvLayer(nn.Module):
    """Both branches on the same layer-normed input; their fused output is added to the input."""

    def __init__(self, dim: int, dilations: Sequence[int], config: MambaConvConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mixer = make_mixer(dim, config)
        self.convs = None if config.branch == "none" else SideConvs(dim, dilations, right=config.branch == "right")
        inner = dim if self.convs is None else 2 * dim
        self.fusion = nn.Sequential(nn.Linear(inner, dim), nn.SiLU(), nn.Dropout(config.dropout), nn.Linear(dim, dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, L, dim)`` to the same shape; ``mask`` ``(B, L, 1)`` is 0 in the padding."""
        normed = self.norm(x) * mask
        branches = [self.mixer(normed)] + ([] if self.convs is None else [self.convs(normed)])
        return (x + self.fusion(torch.cat(branches, dim=-1))) * mask


class MaskedConvs(nn.Module):
    """A convolution over token features that replaces the padding by zeros."""

    def __init__(self, inside: int, outside: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inside, outside, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, L, inside)`` to ``(B, L, outside)``; ``mask`` ``(B, L, 1)`` is 0 in the padding."""
        return self.conv((x * mask).mT).mT
