"""Latent frames to waveform: HiFi-GAN's generator (Kong et al. 2020), optionally with an inverse STFT (iSTFTNet); or
Vocos (Siuzdak 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import weight_norm

from voiceclone.models.convnext import LOUDEST, ConvNeXtStack
from voiceclone.models.vits2.config import Vits2Config
from voiceclone.models.vits2.layers import leaky


class ResidualBlock(nn.Module):
    """Dilated convolutions with residual connections.

    ``paired`` adds an undilated one after each, as in HiFi-GAN's type 1.
    """

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int], *, paired: bool) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(_conv(channels, kernel, dilation) for dilation in dilations)
        self.plain = nn.ModuleList(_conv(channels, kernel, 1) for _ in dilations) if paired else None

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` to the same shape."""
        for number, dilated in enumerate(self.dilated):
            y = dilated(leaky(x))
            x = x + (y if self.plain is None else self.plain[number](leaky(y)))
        return x


class Decoder(nn.Module):
    """Transposed convolutions, each followed by residual blocks with several kernel sizes."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        width = config.upsample_channels
        self.kernels = len(config.resblock_kernels)
        self.first = nn.Conv1d(config.channels, width, 7, padding=3)
        self.voice = nn.Conv1d(config.voice_size, width, 1) if config.voice_size else None
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            padding, extra = (kernel - rate + 1) // 2, (kernel - rate) % 2
            up = nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=padding, output_padding=extra)
            self.ups.append(weight_norm(up))
            width //= 2
            self.blocks.extend(
                ResidualBlock(width, size, dilations, paired=config.resblock == "1")
                for size, dilations in zip(config.resblock_kernels, config.resblock_dilations, strict=True)
            )
        self.istft = InverseStft(config.istft_size, config.istft_hop) if config.decoder == "istft" else None
        self.last = nn.Conv1d(width, 1 if self.istft is None else config.istft_size + 2, 7, padding=3, bias=False)

    def forward(self, frames: Tensor, voice: Tensor | None = None) -> Tensor:
        """Latent frames ``(B, channels, T)`` to audio ``(B, 1, hop T)`` in -1 to 1.

        Args:
            voice: ``(B, voice_size, 1)``.
        """
        x = self.first(frames)
        if self.voice is not None:
            x = x + self.voice(voice)
        for layer, up in enumerate(self.ups):
            x = up(leaky(x))
            blocks = self.blocks[layer * self.kernels : (layer + 1) * self.kernels]
            x = torch.stack([block(x) for block in blocks]).sum(0) / self.kernels
        if self.istft is None:
            return torch.tanh(self.last(F.leaky_relu(x)))
        x = self.last(F.pad(F.leaky_relu(x), (1, 0), mode="reflect"))
        magnitude, phase = x.chunk(2, dim=1)
        return self.istft(torch.exp(magnitude.clamp(max=5.0)), math.pi * torch.sin(phase))


class Vocos(nn.Module):
    """Magnitude and phase of each latent frame's spectrum by ConvNeXt blocks, and an inverse STFT."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        width, size = config.upsample_channels, config.istft_size
        rate = math.prod(config.upsample_rates)
        self.up = nn.ConvTranspose1d(config.channels, config.channels, rate, rate) if rate > 1 else nn.Identity()
        self.stack = ConvNeXtStack(config.channels, width, size + 2, config.decoder_layers)
        self.voice = nn.Conv1d(config.voice_size, width, 1) if config.voice_size else None
        self.istft = InverseStft(size, config.istft_hop, margin=(size - config.istft_hop) // 2)

    def forward(self, frames: Tensor, voice: Tensor | None = None) -> Tensor:
        """As :meth:`Decoder.forward`."""
        condition = self.voice(voice) if self.voice is not None else None
        magnitude, phase = self.stack(self.up(frames), condition).chunk(2, dim=1)
        return self.istft(torch.exp(magnitude.clamp(max=LOUDEST)), phase)


def build_decoder(config: Vits2Config) -> nn.Module:
    """The decoder that ``config`` names."""
    return Vocos(config) if config.decoder == "vocos" else Decoder(config)


class InverseStft(nn.Module):
    """The inverse STFT with a Hann window as a transposed convolution, which every ONNX runtime supports.

    Args:
        size: of the FFT and the window in samples.
        hop: in samples.
        margin: samples cut off at both ends; half the size where it is None.
    """

    basis: Tensor
    envelope: Tensor

    def __init__(self, size: int, hop: int, *, margin: int | None = None) -> None:
        super().__init__()
        self.hop, self.margin = hop, size // 2 if margin is None else margin
        window = torch.hann_window(size)
        angle = 2 * math.pi * torch.arange(size // 2 + 1)[:, None] * torch.arange(size)[None] / size
        # every frequency but the first and last also represents its conjugate
        twice = torch.full((size // 2 + 1, 1), 2.0)
        twice[0], twice[-1] = 1.0, 1.0
        basis = torch.cat([torch.cos(angle) * twice, -torch.sin(angle) * twice]) / size * window
        self.register_buffer("basis", basis.unsqueeze(1), persistent=False)
        self.register_buffer("envelope", (window**2)[None, None], persistent=False)

    def forward(self, magnitude: Tensor, phase: Tensor) -> Tensor:
        """``(B, size / 2 + 1, F)`` each to audio ``(B, 1, hop (F - 1) + size - 2 margin)``."""
        parts = torch.cat([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=1)
        audio = F.conv_transpose1d(parts, self.basis, stride=self.hop)
        weight = F.conv_transpose1d(torch.ones_like(parts[:1, :1]), self.envelope, stride=self.hop)
        inner = slice(self.margin, -self.margin)
        return audio[..., inner] / weight[..., inner].clamp(min=1e-8)


def _conv(channels: int, kernel: int, dilation: int) -> nn.Module:
    return weight_norm(nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2))
