"""Transformer layers with relative positions (Shaw et al. 2018) on channels-first sequences."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.models.vits2.layers import ChannelNorm

FAR = -1e4  # added to masked attention scores; finite, so that a row of only padding gives no NaN


class RelativeAttention(nn.Module):
    """Self-attention with relative positions shared by the heads.

    Args:
        window: distance up to which positions have their own embedding; 0: none.
        causal: mask later positions.
    """

    def __init__(
        self, channels: int, heads: int, *, window: int = 4, dropout: float = 0.0, causal: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.window, self.causal = heads, window, causal
        self.width = channels // heads
        self.query, self.key, self.value, self.output = (nn.Conv1d(channels, channels, 1) for _ in range(4))
        self.dropout = nn.Dropout(dropout)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)
        if window:
            self.key_positions = nn.Parameter(torch.randn(2 * window + 1, self.width) * self.width**-0.5)
            self.value_positions = nn.Parameter(torch.randn(2 * window + 1, self.width) * self.width**-0.5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, C, T)`` and mask ``(B, 1, T)`` to ``(B, C, T)``."""
        batch, channels, length = x.shape
        query, key, value = (
            part(x).view(batch, self.heads, self.width, length).transpose(2, 3)
            for part in (self.query, self.key, self.value)
        )
        query = query * self.width**-0.5
        scores = query @ key.transpose(2, 3)
        steps = torch.arange(length, device=x.device)
        if self.window:
            away = steps[None, :] - steps[:, None] + self.window  # index of the relative position of key j to query i
            near = (away >= 0) & (away <= 2 * self.window)
            place = away.clamp(0, 2 * self.window).expand(batch, self.heads, length, length)
            scores = scores + (query @ self.key_positions.T).gather(3, place) * near
        seen = mask.unsqueeze(2) > 0
        if self.causal:
            seen = seen & (steps[None, :] <= steps[:, None])
        weights = self.dropout(scores.masked_fill(~seen, FAR).softmax(-1))
        mixed = weights @ value
        if self.window:
            key_at = steps[:, None] + torch.arange(-self.window, self.window + 1, device=x.device)[None]
            inside = (key_at >= 0) & (key_at < length)
            last = key_at.clamp(min=0).minimum(steps[-1:])
            band = weights.gather(3, last.expand(batch, self.heads, length, 2 * self.window + 1))
            mixed = mixed + (band * inside) @ self.value_positions
        return self.output(mixed.transpose(2, 3).reshape(batch, channels, length))


class FeedForward(nn.Module):
    """Two convolutions with a ReLU in between.

    Args:
        causal: use causal convolutions.
    """

    def __init__(self, channels: int, inner: int, kernel: int, *, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        left = kernel - 1 if causal else (kernel - 1) // 2
        self.padding = (left, kernel - 1 - left)
        self.first, self.second = nn.Conv1d(channels, inner, kernel), nn.Conv1d(inner, channels, kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(B, C, T)`` to the same shape, 0 in the padding."""
        x = self.dropout(torch.relu(self.first(F.pad(x * mask, self.padding))))
        return self.second(F.pad(x * mask, self.padding)) * mask


class Transformer(nn.Module):
    """Attention and feed-forward layers with post-normalisation.

    Args:
        voice_size: size of the speaker vector, which is added before the third layer; 0: none.
    """

    VOICE_LAYER = 2

    def __init__(
        self,
        channels: int,
        inner: int,
        *,
        heads: int,
        layers: int,
        kernel: int = 3,
        window: int = 4,
        dropout: float = 0.0,
        causal: bool = False,
        voice_size: int = 0,
    ) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(
            RelativeAttention(channels, heads, window=window, dropout=dropout, causal=causal) for _ in range(layers)
        )
        self.feeds = nn.ModuleList(
            FeedForward(channels, inner, kernel, dropout=dropout, causal=causal) for _ in range(layers)
        )
        self.norms = nn.ModuleList(ChannelNorm(channels) for _ in range(2 * layers))
        self.dropout = nn.Dropout(dropout)
        self.voice = nn.Linear(voice_size, channels) if voice_size else None

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """``(B, C, T)`` to the same shape, 0 in the padding.

        Args:
            mask: ``(B, 1, T)``.
            voice: ``(B, voice_size, 1)``.
        """
        x = x * mask
        for layer, (attention, feed) in enumerate(zip(self.attentions, self.feeds, strict=True)):
            if layer == self.VOICE_LAYER and self.voice is not None and voice is not None:
                x = (x + self.voice(voice.transpose(1, 2)).transpose(1, 2)) * mask
            x = self.norms[2 * layer](x + self.dropout(attention(x, mask)))
            x = self.norms[2 * layer + 1](x + self.dropout(feed(x, mask)))
        return x * mask
