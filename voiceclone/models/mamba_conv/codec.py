"""A small convolutional codec (after Défossez et al. 2022): waveform to tokens and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.models.mamba_conv.config import CodecConfig
from voiceclone.models.mamba_conv.quantizer import Quantized, ResidualQuantizer

EDGE = 7  # kernel of the first and the last convolution


class ResidualUnit(nn.Module):
    """Two convolutions with half the channels in between, and a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.inside = nn.Conv1d(channels, inner, 3, padding=1)
        self.outside = nn.Conv1d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, L)`` to the same shape."""
        return x + self.outside(F.elu(self.inside(F.elu(x))))


class Downsample(nn.Module):
    """A strided convolution with an output length of exactly the input length / stride."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(inside, outside, 2 * stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inside, L)`` to ``(B, outside, L / stride)``."""
        left = self.stride // 2
        return self.conv(F.pad(F.elu(x), (left, self.stride - left)))


class Upsample(nn.Module):
    """The transposed convolution that inverts the lengths of :class:`Downsample`."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.ConvTranspose1d(inside, outside, 2 * stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inside, L)`` to ``(B, outside, stride L)``."""
        left = self.stride // 2
        y = self.conv(F.elu(x))
        return y[..., left : left + self.stride * x.shape[-1]]


class Codec(nn.Module):
    """Encoder, quantizer and decoder."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels * 2**i for i in range(len(config.strides) + 1)]
        down: list[nn.Module] = [nn.Conv1d(1, widths[0], EDGE, padding=EDGE // 2)]
        up: list[nn.Module] = [nn.ELU(), nn.Conv1d(widths[0], 1, EDGE, padding=EDGE // 2)]
        for inside, outside, stride in zip(widths, widths[1:], config.strides):
            down += [ResidualUnit(inside), Downsample(inside, outside, stride)]
            up = [Upsample(outside, inside, stride), ResidualUnit(inside), *up]
        self.encoder = nn.Sequential(*down, nn.ELU(), nn.Conv1d(widths[-1], config.latent, EDGE, padding=EDGE // 2))
        # Without it the vectors collapse to nearly one point before quantization starts, and only one code is used
        # afterwards.
        self.norm = nn.BatchNorm1d(config.latent, affine=False)
        self.quantizer = ResidualQuantizer(config.levels, config.codebook_size, config.latent)
        self.decoder = nn.Sequential(nn.Conv1d(config.latent, widths[-1], EDGE, padding=EDGE // 2), *up)

    @property
    def hop(self) -> int:
        """Samples at 24 kHz of one frame."""
        return self.config.hop

    @property
    def levels(self) -> int:
        """Tokens per frame."""
        return self.config.levels

    @property
    def codebook_size(self) -> int:
        """Number of different tokens of a level."""
        return self.config.codebook_size

    def latents(self, audio: Tensor) -> Tensor:
        """Waveforms ``(B, T)``, T a multiple of the hop, to vectors ``(B, latent, T / hop)`` of about unit variance."""
        return self.norm(self.encoder(audio.unsqueeze(1)))

    def resynthesize(self, vectors: Tensor) -> Tensor:
        """Vectors ``(B, latent, F)`` to waveforms ``(B, hop F)``."""
        return torch.tanh(self.decoder(vectors).squeeze(1))

    def quantize(self, audio: Tensor, **settings: object) -> Quantized:
        """Encode and quantize waveforms ``(B, samples)``; ``settings`` are those of the quantizer's ``forward``."""
        return self.quantizer(self.latents(audio), **settings)

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """Waveforms ``(B, T)`` at 24 kHz to tokens ``(B, levels, ceil(T / hop))``."""
        return self.quantizer.encode(self.latents(F.pad(audio, (0, -audio.shape[-1] % self.hop))))

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Tokens ``(B, levels, F)`` to waveforms ``(B, hop F)``."""
        return self.resynthesize(self.quantizer.decode(codes))
