"""Discriminator of durations: real or predicted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from voiceclone.models.vits2.layers import ChannelNorm

KERNEL = 3


class DurationDiscriminator(nn.Module):
    """A score for each token, from text features and log durations.

    Args:
        hidden: channels of the text features.
        recurrent: use a bidirectional LSTM instead of the last two convolutions.
    """

    def __init__(self, hidden: int, *, recurrent: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        self.text = nn.ModuleList(_block(hidden, hidden, dropout) for _ in range(2))
        self.durations = nn.Conv1d(1, hidden, 1)
        self.both = nn.ModuleList([_block(2 * hidden, hidden, dropout), _block(hidden, hidden, dropout)])
        self.lstm = nn.LSTM(2 * hidden, hidden // 2, batch_first=True, bidirectional=True) if recurrent else None
        if recurrent:
            self.both = nn.ModuleList()
        self.score = nn.Conv1d(hidden, 1, 1)

    def forward(self, features: Tensor, log_durations: Tensor, mask: Tensor) -> Tensor:
        """Features ``(B, hidden, N)``, log frames and mask ``(B, 1, N)`` to scores ``(B, 1, N)``."""
        x = features.detach()
        for block in self.text:
            x = block(x * mask)
        x = torch.cat([x, self.durations(log_durations)], dim=1) * mask
        for block in self.both:
            x = block(x) * mask
        if self.lstm is not None:
            lengths = mask.sum((1, 2)).long().cpu()
            packed = pack_padded_sequence(x.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False)
            out, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[2])
            x = out.transpose(1, 2)
        return self.score(x) * mask


class NoDurationDiscriminator(nn.Module):
    """Placeholder where there is no discriminator."""


def duration_discriminator_loss(*, real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Least-squares loss of the discriminator, mean over tokens: real durations to 1, predicted ones to 0.

    All are ``(B, 1, N)``; the first two are scores.
    """
    return (((real - 1) ** 2 + fake**2) * mask).sum() / mask.sum()


def duration_generator_loss(*, fake: Tensor, mask: Tensor) -> Tensor:
    """Least-squares loss of the predictor, mean over tokens: scores ``(B, 1, N)`` of its durations to 1."""
    return ((fake - 1) ** 2 * mask).sum() / mask.sum()


def _block(channels_in: int, channels: int, dropout: float) -> nn.Module:
    conv = nn.Conv1d(channels_in, channels, KERNEL, padding=KERNEL // 2)
    return nn.Sequential(conv, nn.ReLU(), ChannelNorm(channels), nn.Dropout(dropout))
