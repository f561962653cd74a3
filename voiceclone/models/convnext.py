"""ConvNeXt blocks over frames, as in Vocos (Siuzdak 2023), which predicts short-time spectra at the frame rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 7  # of all convolutions over time, in frames
LOUDEST = 6.0  # limit of a predicted log magnitude


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, layer norm, two linear layers, and a residual connection (Liu et al. 2022)."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.inside, self.outside = nn.Linear(channels, 3 * channels), nn.Linear(3 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, F)`` to the same shape."""
        y = self.norm(self.over_time(x).transpose(1, 2))
        return x + (self.scale * self.outside(F.gelu(self.inside(y)))).transpose(1, 2)


class ConvNeXtStack(nn.Module):
    """A convolution, residual blocks, layer norm, and a linear layer."""

    def __init__(self, inside: int, channels: int, outside: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(inside, channels, KERNEL, padding=KERNEL // 2)
        self.entry = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(ConvNeXtBlock(channels, 1.0 / layers) for _ in range(layers))
        self.norm, self.last = nn.LayerNorm(channels), nn.Linear(channels, outside)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """``(B, inside, F)`` to ``(B, outside, F)``.

        Args:
            condition: added to the output of the first convolution, ``(B, channels, 1)`` or ``(B, channels, F)``.
        """
        x = self.first(x) if condition is None else self.first(x) + condition
        x = self.entry(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.last(self.norm(x.transpose(1, 2))).transpose(1, 2)
