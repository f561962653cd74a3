"""The two encoders: prior of the latent frames from text, posterior from a spectrogram."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from voiceclone.models.vits2.attention import Transformer
from voiceclone.models.vits2.config import Vits2Config
from voiceclone.models.vits2.layers import WaveNet

LOG_SCALE = (-7.0, 4.0)
"""Limits of log standard deviations, beyond which the divergence of two Gaussians overflows."""


class TextEncoder(nn.Module):
    """Tokens to features, and to mean and log standard deviation of their latent frames."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        self.hidden = config.hidden
        self.embedding = nn.Embedding(config.symbols, config.hidden)
        nn.init.normal_(self.embedding.weight, 0.0, config.hidden**-0.5)
        self.transformer = Transformer(
            config.hidden, config.filter, heads=config.heads, layers=config.layers, kernel=config.kernel,
            window=config.window, dropout=config.dropout,
            voice_size=config.voice_size if config.speaker_in_text else 0,
        )  # fmt: skip
        self.statistics = nn.Conv1d(config.hidden, 2 * config.channels, 1)

    def forward(self, tokens: Tensor, mask: Tensor, voice: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens ``(B, N)`` to features ``(B, hidden, N)``, mean and log scale ``(B, channels, N)``."""
        x = (self.embedding(tokens) * math.sqrt(self.hidden)).transpose(1, 2)
        x = self.transformer(x, mask, voice)
        mean, log_scale = (self.statistics(x) * mask).chunk(2, dim=1)
        return x, mean, log_scale.clamp(*LOG_SCALE)


class PosteriorEncoder(nn.Module):
    """Spectrogram to mean and log standard deviation of the latent frames."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        self.first = nn.Conv1d(config.front_end.channels, config.hidden, 1)
        self.wavenet = WaveNet(config.hidden, config.posterior_layers, voice_size=config.voice_size)
        self.statistics = nn.Conv1d(config.hidden, 2 * config.channels, 1)

    def forward(self, frames: Tensor, mask: Tensor, voice: Tensor | None) -> tuple[Tensor, Tensor]:
        """Frames ``(B, bands, T)`` to mean and log scale ``(B, channels, T)``."""
        x = self.wavenet(self.first(frames) * mask, mask, voice)
        mean, log_scale = (self.statistics(x) * mask).chunk(2, dim=1)
        return mean, log_scale.clamp(*LOG_SCALE)


def sampled(mean: Tensor, log_scale: Tensor, mask: Tensor, noise: Tensor | None = None) -> Tensor:
    """A sample of the Gaussians ``(B, C, T)``, 0 in the padding. ``noise`` is standard normal; drawn where None."""
    noise = torch.randn_like(mean) if noise is None else noise
    return (mean + noise * torch.exp(log_scale)) * mask
