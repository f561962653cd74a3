"""The denoiser of StyleTTS2's style diffusion: a transformer over the text with the noisy style as input.

The design is that of ``StyleTransformer1d`` and ``Transformer1d`` in yl4579/StyleTTS2: the noisy style is concatenated
to every token's features, and the output is the mean over the tokens. Unlike there, attention and mean ignore the
padding. In the reference, a padded text gives another style than the text alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Sizes of a denoiser."""

    text_dim: int
    """Size of a token's features: the width of the base's PL-BERT."""
    style_dim: int = 256
    """Size of a style: acoustic half, prosodic half."""
    blocks: int = 3
    heads: int = 8
    head_dim: int = 64
    multiplier: int = 2
    """Width of the feed-forward layers relative to the width of the tokens."""
    reference: bool = True
    """Whether a style of the same speaker is an input; not needed for single-speaker models."""
    max_tokens: int = 512

    @property
    def width(self) -> int:
        """Size of a token within the network."""
        return self.style_dim + self.text_dim


class StyleDenoiser(nn.Module):
    """Noisy styles, noise level, text and reference to the network's output before preconditioning."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.time = _TimeEmbedding(config.style_dim, width)
        self.reference = nn.Sequential(nn.Linear(config.style_dim, width), nn.GELU()) if config.reference else None
        self.mapping = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        self.out = nn.Linear(width, config.style_dim)

    def forward(self, style: Tensor, level: Tensor, text: Tensor, mask: Tensor, reference: Tensor | None) -> Tensor:
        """Styles ``(B, 256)`` scaled to unit variance, to ``(B, 256)``.

        Args:
            style: noisy styles.
            level: ``(B,)``, log of the noise's standard deviation / 4.
            text: ``(B, N, text_dim)``.
            mask: ``(B, N)``, True at tokens, False in the padding; at least one token in each row.
            reference: a style of the speaker ``(B, 256)``; None for a network without one.
        """
        told = self.time(level)
        if self.reference is not None:
            told = told + self.reference(reference)
        told = self.mapping(told).unsqueeze(1)
        x = torch.cat([style.unsqueeze(1).expand(-1, text.shape[1], -1), text], dim=-1)
        for block in self.blocks:
            x = block(x + told, mask, reference)
        kept = mask.unsqueeze(-1).to(x.dtype)
        return self.out((x * kept).sum(1) / kept.sum(1))


class _TimeEmbedding(nn.Module):
    """Sines and cosines of learned frequencies, and the value itself, to ``(B, width)``."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(size // 2))
        self.linear = nn.Sequential(nn.Linear(1 + 2 * (size // 2), width), nn.GELU())

    def forward(self, level: Tensor) -> Tensor:
        """``(B,)`` to ``(B, width)``."""
        angle = 2.0 * math.pi * level[:, None] * self.frequencies[None]
        return self.linear(torch.cat([level[:, None], angle.sin(), angle.cos()], dim=-1))


class _Block(nn.Module):
    """Self-attention with adaptive layer norm by the reference style, then a feed-forward layer."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width, inner = config.width, config.heads * config.head_dim
        self.heads = config.heads
        self.norm = nn.LayerNorm(width, elementwise_affine=not config.reference)
        self.scale = nn.Linear(config.style_dim, 2 * width) if config.reference else None
        self.query, self.key_value = nn.Linear(width, inner, bias=False), nn.Linear(width, 2 * inner, bias=False)
        self.project = nn.Linear(inner, width)
        hidden = config.multiplier * width
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, mask: Tensor, reference: Tensor | None) -> Tensor:
        """``(B, N, width)`` to the same."""
        normed = self.norm(x)
        if self.scale is not None:
            gain, bias = self.scale(reference).unsqueeze(1).chunk(2, dim=-1)
            normed = (1.0 + gain) * normed + bias
        split = (self.query(normed), *self.key_value(normed).chunk(2, dim=-1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in split)
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        x = x + self.project(heard.transpose(1, 2).flatten(2))
        return x + self.feed_forward(x)
