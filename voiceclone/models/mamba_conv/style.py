"""Style extractor: speaker and speaking style from a log-mel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.audio.features import N_MELS
from voiceclone.models.mamba_conv.config import MambaConvConfig

BLOCKS = 3
KERNEL = 5


class SeparableConv(nn.Module):
    """A depthwise convolution followed by a pointwise one, with far fewer parameters than a full convolution."""

    def __init__(self, inside: int, outside: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(inside, inside, kernel, stride, kernel // 2, groups=inside, bias=False)
        self.pointwise = nn.Conv1d(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inside, L)`` to ``(B, outside, L / stride)``."""
        return self.pointwise(self.depthwise(x))


class AudioStyleExtractor(nn.Module):
    """Depthwise-separable convolutions over a log-mel; mean and standard deviation over time give the style."""

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        width, layers, inside = config.style_channels, [], N_MELS
        for _ in range(BLOCKS):
            norm = nn.BatchNorm1d(width) if config.style_norm == "batch" else nn.GroupNorm(4, width)
            layers += [SeparableConv(inside, width, kernel=KERNEL, stride=2), norm, nn.ReLU()]
            inside = width
        self.layers = nn.Sequential(*layers)
        self.project = nn.Linear(2 * width, config.style_dim)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Log-mel ``(B, 80, T)`` of one length to styles ``(B, style_dim)``."""
        features = self.layers(log_mel)
        spread = (features.var(dim=2, unbiased=False) + 1e-5).sqrt()
        return self.project(torch.cat([features.mean(dim=2), spread], dim=1))
