"""Narrow multi-period and multi-resolution spectrogram discriminators.

The designs are those of ``styletts2.Modules.discriminators`` (HiFi-GAN: Kong et al. 2020; UnivNet: Jang et al. 2021).
That module has fixed widths (about 50M parameters) and fails on the CPU, because it moves the window to device -1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import weight_norm

SLOPE = 0.1
INPUT_GAIN = 10.0
"""On waveforms: speech of RMS 0.1 reaches the first layer at about unit variance."""
OUTPUT_GAIN = 0.3
"""On the initial scores, so that the least squares losses begin near those of a constant score."""
FULL_PERIODS = (2, 3, 5, 7, 11)
FULL_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""FFT, hop and window in samples."""


class PeriodDiscriminator(nn.Module):
    """2-D convolutions over the waveform, reshaped by one period."""

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        sizes = (1, *channels)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (3 if i < len(channels) - 1 else 1, 1), padding=(2, 0)))
            for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
        )
        self.post = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Audio ``(B, T)`` to scores ``(B, K)`` and the features of every layer."""
        audio = F.pad(INPUT_GAIN * audio, (0, -audio.shape[-1] % self.period), mode="reflect")
        x = audio.view(audio.shape[0], 1, -1, self.period)
        return _run(self.convs, self.post, x)


class SpectrumDiscriminator(nn.Module):
    """2-D convolutions over the log-compressed magnitude spectrogram at one resolution."""

    def __init__(self, n_fft: int, hop: int, channels: int, *, window: int | None = None) -> None:
        super().__init__()
        self.n_fft, self.hop, self.window_length = n_fft, hop, window or n_fft
        self.register_buffer("window", torch.hann_window(self.window_length), persistent=False)
        sizes = ((1, 2), (channels, 2), (channels, 2), (channels, 1))
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, channels, (3, 9), (1, stride), padding=(1, 4))) for a, stride in sizes
        )
        self.post = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Audio ``(B, T)`` to scores ``(B, K)`` and the features of every layer."""
        spectrum = torch.stft(
            audio, self.n_fft, self.hop, self.window_length, window=self.window, return_complex=True
        )  # fmt: skip
        # sqrt(re² + im² + eps): the gradient of |z| is not finite at 0.
        magnitude = (spectrum.real**2 + spectrum.imag**2 + 1e-7).sqrt()
        return _run(self.convs, self.post, torch.log(1e-2 + magnitude).transpose(1, 2).unsqueeze(1))


class Discriminators(nn.Module):
    """All discriminators in parallel."""

    def __init__(
        self,
        *,
        periods: tuple[int, ...] = (2, 3, 5, 7),
        period_channels: tuple[int, ...] = (8, 16, 32, 48, 48),
        resolutions: tuple[tuple[int, int, int], ...] = ((512, 120, 512), (1024, 240, 1024), (2048, 480, 2048)),
        spectrum_channels: int = 16,
    ) -> None:
        """Resolutions are FFT size, hop and window in samples."""
        super().__init__()
        self.parts = nn.ModuleList(
            [PeriodDiscriminator(period, period_channels) for period in periods]
            + [SpectrumDiscriminator(size, hop, spectrum_channels, window=window) for size, hop, window in resolutions]
        )
        self.apply(_initialize)
        with torch.no_grad():
            for part in self.parts:
                part.post.weight_g.mul_(OUTPUT_GAIN)

    def forward(self, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Audio ``(B, T)`` to the scores and the features of each discriminator."""
        results = [part(audio) for part in self.parts]
        return [r[0] for r in results], [r[1] for r in results]


def build_discriminators(kind: str, *, wide: bool = False) -> Discriminators:
    """The ``narrow`` set of 4 periods and 3 resolutions, or the ``full`` set of 5 and 3 as in StyleTTS2.

    Args:
        kind: ``narrow`` or ``full``.
        wide: the full set with StyleTTS2's own widths (41M parameters instead of 0.2M).
    """
    if kind == "narrow":
        return Discriminators()
    if not wide:
        return Discriminators(periods=FULL_PERIODS, resolutions=FULL_RESOLUTIONS)
    return Discriminators(
        periods=FULL_PERIODS,
        resolutions=FULL_RESOLUTIONS,
        period_channels=(32, 128, 512, 1024, 1024),
        spectrum_channels=32,
    )


@torch.no_grad()
def _initialize(module: nn.Module) -> None:
    """He initialization (He et al. 2015) of a convolution under weight norm.

    PyTorch's own default shrinks the signal in every layer: by the last one of a period discriminator nothing of it is
    left, and its loss stays at that of a constant score for hundreds of steps.
    """
    if not isinstance(module, nn.Conv2d):
        return
    direction = module.weight_v
    nn.init.normal_(direction, std=math.sqrt(2.0 / (1.0 + SLOPE**2) / direction[0].numel()))
    module.weight_g.copy_(direction.flatten(1).norm(dim=1).view_as(module.weight_g))
    nn.init.zeros_(module.bias)


def _run(convs: nn.ModuleList, post: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    features = []
    for conv in convs:
        x = F.leaky_relu(conv(x), SLOPE)
        features.append(x)
    return post(x).flatten(1), features
