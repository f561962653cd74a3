"""The stochastic duration predictor of VITS (Kim et al. 2021): durations drawn from a flow given the text."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.models.vits2.config import Vits2Config
from voiceclone.models.vits2.layers import ChannelNorm, detached
from voiceclone.models.vits2.splines import spline

BINS, TAIL, FLOWS = 10, 5.0, 4


class SeparableConvs(nn.Module):
    """Dilated depthwise and pointwise convolutions with residual connections."""

    def __init__(self, channels: int, *, layers: int = 3, kernel: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.depthwise = nn.ModuleList(
            nn.Conv1d(
                channels, channels, kernel, groups=channels, dilation=kernel**i, padding=kernel**i * (kernel // 2)
            )
            for i in range(layers)
        )
        self.pointwise = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(layers))
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(2 * layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, C, N)`` to the same shape, 0 in the padding."""
        for layer, (depthwise, pointwise) in enumerate(zip(self.depthwise, self.pointwise, strict=True)):
            y = F.gelu(self.norms[2 * layer](depthwise(x * mask)))
            x = x + self.dropout(F.gelu(self.norms[2 * layer + 1](pointwise(y))))
        return x * mask


class Affine(nn.Module):
    """A scale and an offset for each channel."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.offset, self.log_scale = (nn.Parameter(torch.zeros(channels, 1)) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, 2, N)``; also returns the log-determinant ``(B,)``."""
        return (self.offset + torch.exp(self.log_scale) * x) * mask, (self.log_scale * mask).sum((1, 2))

    def inverse(self, y: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        return (y - self.offset) * torch.exp(-self.log_scale) * mask


class SplineCoupling(nn.Module):
    """Map one channel by a spline whose parameters are computed from the other channel and the text."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.first = nn.Conv1d(1, channels, 1)
        self.convs = SeparableConvs(channels)
        self.last = nn.Conv1d(channels, 3 * BINS - 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, 2, N)``; also returns the log-determinant ``(B,)``."""
        first, second = x.chunk(2, dim=1)
        second, log_derivative = self._mapped(first, second, mask, condition, inverse=False)
        return torch.cat([first, second], dim=1) * mask, (log_derivative * mask).sum((1, 2))

    def inverse(self, y: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        """Undo :meth:`forward`."""
        first, second = y.chunk(2, dim=1)
        second, _ = self._mapped(first, second, mask, condition, inverse=True)
        return torch.cat([first, second], dim=1) * mask

    def _mapped(
        self, first: Tensor, second: Tensor, mask: Tensor, condition: Tensor, *, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        x = self.last(self.convs(self.first(first) + condition, mask)) * mask
        widths, heights, derivatives = x.transpose(1, 2).unsqueeze(1).split([BINS, BINS, BINS - 1], dim=-1)
        scale = math.sqrt(self.channels)
        return spline(second, widths / scale, heights / scale, derivatives, inverse=inverse, tail=TAIL)


class DurationFlow(nn.Module):
    """An affine map and spline couplings, with the two channels exchanged after each coupling.

    As in VITS: ``StochasticDurationPredictor`` of jaywalnut310/vits. (Transformers' training exchanges the channels
    after the affine map as well, its synthesis does not.)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Affine(), *(SplineCoupling(channels) for _ in range(FLOWS))])

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 2, N)`` to normal variates, and the log-determinant ``(B,)``."""
        total = x.new_zeros(len(x))
        for number, part in enumerate(self.parts):
            x, log_determinant = part(x, mask, condition)
            x, total = x.flip(1) if number else x, total + log_determinant
        return x, total

    def inverse(self, y: Tensor, mask: Tensor, condition: Tensor, *, skip: int | None = None) -> Tensor:
        """Inverse of :meth:`forward`.

        Args:
            skip: index of a coupling whose map is left out.
        """
        for number in reversed(range(len(self.parts))):
            y = y.flip(1) if number else y
            if number != skip:
                y = self.parts[number].inverse(y, mask, condition)
        return y


class StochasticDurationPredictor(nn.Module):
    """Samples log durations given text features; trained by likelihood with variational dequantisation."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        width = config.hidden
        self.voice = nn.Conv1d(config.voice_size, width, 1) if config.voice_size else None
        self.first, self.last = nn.Conv1d(width, width, 1), nn.Conv1d(width, width, 1)
        self.convs = SeparableConvs(width, dropout=config.duration_dropout)
        self.flow = DurationFlow(width)
        self.spoken_first, self.spoken_last = nn.Conv1d(1, width, 1), nn.Conv1d(width, width, 1)
        self.spoken_convs = SeparableConvs(width, dropout=config.duration_dropout)
        self.dequantise = DurationFlow(width)

    def _condition(self, features: Tensor, mask: Tensor, voice: Tensor | None) -> Tensor:
        x, voice = self.first(features.detach()), detached(voice)
        if self.voice is not None:
            x = x + self.voice(voice)
        return self.last(self.convs(x, mask)) * mask

    def negative_log_likelihood(
        self, features: Tensor, mask: Tensor, voice: Tensor | None, frames: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """An upper bound of the negative log-likelihood of whole durations, ``(B,)``, in nats.

        Args:
            features: ``(B, hidden, N)``; they get no gradient.
            mask: ``(B, 1, N)``.
            voice: ``(B, voice_size, 1)``.
            frames: ``(B, 1, N)``.
            noise: ``(B, 2, N)``, standard normal; drawn where None.
        """
        condition = self._condition(features, mask, voice)
        spoken = self.spoken_last(self.spoken_convs(self.spoken_first(frames), mask)) * mask
        noise = (torch.randn_like(features[:, :2]) if noise is None else noise) * mask
        latent, growth = self.dequantise(noise, mask, condition + spoken)
        raw, second = latent.chunk(2, dim=1)
        growth = growth + ((F.logsigmoid(raw) + F.logsigmoid(-raw)) * mask).sum((1, 2))
        log_posterior = _log_normal(noise, mask) - growth
        log_frames = torch.log(((frames - torch.sigmoid(raw)) * mask).clamp(min=1e-5)) * mask
        x, growth = self.flow(torch.cat([log_frames, second], dim=1), mask, condition)
        return log_posterior - _log_normal(x, mask) - growth + log_frames.sum((1, 2))

    def forward(self, features: Tensor, mask: Tensor, voice: Tensor | None, noise: Tensor | None = None) -> Tensor:
        """Log frames ``(B, 1, N)`` for ``noise`` ``(B, 2, N)`` of any variance; 0 where None."""
        condition = self._condition(features, mask, voice)
        noise = torch.zeros_like(features[:, :2]) if noise is None else noise
        # The first coupling maps the second channel, which is not returned.
        return self.flow.inverse(noise, mask, condition, skip=1)[:, :1]


def _log_normal(x: Tensor, mask: Tensor) -> Tensor:
    """Log density of standard normal values over a row, ``(B,)``."""
    return (-0.5 * (math.log(2 * math.pi) + x**2) * mask).sum((1, 2))
