"""Durations of tokens: deterministic predictor with a noise input, and rounding to whole frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.models.vits2.config import Vits2Config
from voiceclone.models.vits2.layers import ChannelNorm, detached

KERNEL = 3


class DurationPredictor(nn.Module):
    """Text features to log durations.

    With a noise channel, the predictor generates varied durations; the duration discriminator then trains it.
    """

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        width, pad = config.duration_filter, KERNEL // 2
        self.noisy = config.duration_noise
        self.voice = nn.Conv1d(config.voice_size, config.hidden, 1) if config.voice_size else None
        self.first = nn.Conv1d(config.hidden + int(self.noisy), width, KERNEL, padding=pad)
        self.second = nn.Conv1d(width, width, KERNEL, padding=pad)
        self.norms = nn.ModuleList(ChannelNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(config.duration_dropout)
        self.last = nn.Conv1d(width, 1, 1)

    def forward(self, features: Tensor, mask: Tensor, voice: Tensor | None, noise: Tensor | None = None) -> Tensor:
        """Features ``(B, hidden, N)`` to log frames ``(B, 1, N)``. Features and voice get no gradient.

        Args:
            features: of the text.
            mask: ``(B, 1, N)``.
            voice: ``(B, voice_size, 1)``.
            noise: ``(B, 1, N)``, of unit variance; 0 where None.
        """
        x, voice = features.detach(), detached(voice)
        if self.voice is not None:
            x = x + self.voice(voice)
        if self.noisy:
            x = torch.cat([x, torch.zeros_like(x[:, :1]) if noise is None else noise], dim=1)
        for conv, norm in zip((self.first, self.second), self.norms, strict=True):
            x = self.dropout(norm(torch.relu(conv(x * mask))))
        return self.last(x * mask) * mask


def predicted_frames(log_durations: Tensor, mask: Tensor, length_scale: Tensor | float = 1.0) -> Tensor:
    """Whole frames of each token, ``(B, N)``, at least 1 each, 0 in the padding.

    The cumulative ends of the tokens are rounded, so that the total length is preserved. VITS rounds each duration up,
    which adds half a frame per token on average.

    Args:
        log_durations: ``(B, 1, N)``.
        mask: ``(B, 1, N)``.
        length_scale: factor on the durations.
    """
    ends = torch.cumsum((torch.exp(log_durations) * length_scale).clamp(min=1.0) * mask, dim=2)
    ends = torch.floor(ends + 0.5)
    starts = torch.cat([torch.zeros_like(ends[..., :1]), ends[..., :-1]], dim=2)
    return ((ends - starts) * mask).squeeze(1)


def rounded_up(log_durations: Tensor, mask: Tensor, length_scale: float = 1.0) -> Tensor:
    """As :func:`predicted_frames`, but each duration is rounded up, as in the public implementations: ``(B, N)``."""
    return torch.ceil(torch.exp(log_durations) * mask * length_scale).squeeze(1)


def expansion(frames: Tensor, longest: Tensor | int) -> Tensor:
    """Whole frames ``(B, N)`` as an alignment ``(B, N, longest)``: 1 where a frame belongs to a token."""
    ends = torch.cumsum(frames, dim=1).unsqueeze(2)
    positions = torch.arange(longest, device=frames.device)[None, None]
    return ((positions < ends) & (positions >= ends - frames.unsqueeze(2))).float()
