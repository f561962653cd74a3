"""Building blocks of a VITS2: masks, channel normalisation, and the gated WaveNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import weight_norm


def length_mask(lengths: Tensor, longest: int | Tensor) -> Tensor:
    """``(B, 1, longest)``, 1 within each length and 0 in the padding."""
    positions = torch.arange(longest, device=lengths.device)
    return (positions[None] < lengths[:, None]).float().unsqueeze(1)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of ``(B, C, T)``."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` to the same shape."""
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class WaveNet(nn.Module):
    """Gated convolutions with residual and skip connections (van den Oord et al. 2016), conditioned on a speaker.

    Args:
        voice_size: size of a speaker vector; 0 without speakers.
    """

    def __init__(self, hidden: int, layers: int, *, kernel: int = 5, voice_size: int = 0) -> None:
        super().__init__()
        self.hidden, self.layers = hidden, layers
        self.inner = nn.ModuleList(
            weight_norm(nn.Conv1d(hidden, 2 * hidden, kernel, padding=kernel // 2)) for _ in range(layers)
        )
        self.outer = nn.ModuleList(
            weight_norm(nn.Conv1d(hidden, 2 * hidden if layer < layers - 1 else hidden, 1)) for layer in range(layers)
        )
        self.voice = weight_norm(nn.Conv1d(voice_size, 2 * hidden * layers, 1)) if voice_size else None

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """``(B, hidden, T)`` to the same shape, 0 in the padding.

        Args:
            mask: ``(B, 1, T)``.
            voice: ``(B, voice_size, 1)``.
        """
        skipped = torch.zeros_like(x)
        offsets = self.voice(voice).chunk(self.layers, dim=1) if self.voice is not None else None
        for layer, (inner, outer) in enumerate(zip(self.inner, self.outer, strict=True)):
            gated = inner(x) if offsets is None else inner(x) + offsets[layer]
            wave, gate = gated.chunk(2, dim=1)
            parts = outer(torch.tanh(wave) * torch.sigmoid(gate))
            if layer < self.layers - 1:
                residual, skip = parts.chunk(2, dim=1)
                x = (x + residual) * mask
                skipped = skipped + skip
            else:
                skipped = skipped + parts
        return skipped * mask


def detached(x: Tensor | None) -> Tensor | None:
    """``x`` without gradient; None for None."""
    return None if x is None else x.detach()


def leaky(x: Tensor) -> Tensor:
    """The vocoder's activation, for any shape."""
    return F.leaky_relu(x, 0.1)
