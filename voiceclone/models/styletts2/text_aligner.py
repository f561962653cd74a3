"""The text aligner that is trained with the model: an attention-based recogniser whose attention is the alignment.

The design follows StyleTTS2's: convolutions over the mel, and a recurrent decoder that predicts the tokens in order and
attends to their frames. The attention energies give the alignment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.audio.features import N_MELS

CHANNELS, STATE, KEYS, LOCATION = 96, 128, 64, 16
BLOCKS = 4
NOWHERE = -1e9


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Output of the aligner."""

    energies: Tensor = field(repr=False)
    """``(B, N, T)``: attention energy of each token and frame; a large negative value in the padding."""
    logits: Tensor = field(repr=False)
    """``(B, N, n_token)``: prediction of each token from the audio and the previous tokens."""

    @property
    def soft(self) -> Tensor:
        """Soft alignment ``(B, N, T)``; sums to 1 over the tokens."""
        return self.energies.softmax(dim=1)


class TextAligner(nn.Module):
    """Mels and tokens to energies between them.

    Args:
        symbols: size of the vocabulary.
    """

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.begin = nn.Conv1d(N_MELS, CHANNELS, 5, padding=2)
        self.blocks = nn.ModuleList(_Block(CHANNELS, stride=2 if number == 1 else 1) for number in range(BLOCKS))
        self.embedding = nn.Embedding(symbols + 1, CHANNELS)  # the last one is the input before the first token
        self.cell = nn.GRUCell(2 * CHANNELS, STATE)
        self.query, self.key = nn.Linear(STATE, KEYS), nn.Linear(CHANNELS, KEYS, bias=False)
        self.location = nn.Conv1d(2, LOCATION, 15, padding=7, bias=False)
        self.place = nn.Linear(LOCATION, KEYS, bias=False)
        self.energy = nn.Linear(KEYS, 1, bias=False)
        self.guess = nn.Linear(STATE + CHANNELS, symbols)

    def forward(self, mel: Tensor, frames: Tensor, tokens: Tensor, lengths: Tensor) -> Aligned:
        """Compute attention energies and token predictions.

        Args:
            mel: normalised log-mel ``(B, 80, 2 T)``, 0 in the padding.
            frames: frames of 25 ms of each row ``(B,)``.
            tokens: ``(B, N)``, 0-padded.
            lengths: tokens of each row ``(B,)``.
        """
        sounding = torch.arange(mel.shape[2], device=mel.device) < 2 * frames[:, None]
        heard = self.begin(mel)
        for block in self.blocks:
            heard = block(heard, sounding)
            sounding = sounding[:, :: block.stride]
        heard = heard.transpose(1, 2)  # (B, T, channels)
        silent = ~sounding
        keys = self.key(heard)
        state = heard.new_zeros(len(mel), STATE)
        context = heard.new_zeros(len(mel), CHANNELS)
        before = heard.new_zeros(len(mel), 2, heard.shape[1])  # the last attention weights, and their sum so far
        start = tokens.new_full((len(tokens), 1), self.embedding.num_embeddings - 1)
        known = self.embedding(torch.cat([start, tokens[:, :-1]], dim=1))
        energies, logits = [], []
        for position in range(tokens.shape[1]):
            state = self.cell(torch.cat([known[:, position], context], dim=1), state)
            place = self.place(self.location(before).transpose(1, 2))
            energy = self.energy(torch.tanh(self.query(state)[:, None] + keys + place)).squeeze(-1)
            energy = energy.masked_fill(silent, NOWHERE)
            attention = energy.softmax(dim=1)
            context = (attention[:, :, None] * heard).sum(1)
            before = torch.stack([attention, before[:, 1] + attention], dim=1)
            energies.append(energy)
            logits.append(self.guess(torch.cat([state, context], dim=1)))
        padding = torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
        found = torch.stack(energies, dim=1).masked_fill(padding[:, :, None], NOWHERE)
        return Aligned(energies=found, logits=torch.stack(logits, dim=1))


class _Block(nn.Module):
    """Two convolutions with a residual connection; the padding is kept at 0."""

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.conv1 = nn.Conv1d(channels, channels, 3, stride, padding=1)
        self.conv2 = nn.Conv1d(channels, channels, 3, padding=1)
        self.stride = stride

    def forward(self, x: Tensor, sounding: Tensor) -> Tensor:
        """``(B, C, T)`` to ``(B, C, T / stride)``.

        Args:
            sounding: ``(B, T)``, True within the rows.
        """
        inner = self.conv1(_active(self.norm1, x, sounding))
        inner = self.conv2(_active(self.norm2, inner, sounding[:, :: self.stride]))
        return inner + (F.avg_pool1d(x, self.stride) if self.stride > 1 else x)


def _active(norm: nn.LayerNorm, x: Tensor, sounding: Tensor) -> Tensor:
    return F.leaky_relu(norm(x.transpose(1, 2)).transpose(1, 2), 0.2) * sounding[:, None]
