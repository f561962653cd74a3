"""Token decoder: codec tokens from expanded text features and the tokens known so far."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.models.mamba_conv.blocks import MambaConvLayer
from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.film import Film


class TokenDecoder(nn.Module):
    """Predicts one level of tokens, or all of them, in every frame.

    Every frame gets the features of its own text token, which fixes the order of the speech.
    """

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        dim, self.levels, self.mask_id, self.bins = config.hidden, config.levels, config.codebook_size, config.mask_bins
        self.embeddings = nn.ModuleList(nn.Embedding(config.codebook_size + 1, dim) for _ in range(config.levels))
        self.text = nn.Linear(config.text_dim, dim)
        self.masked = nn.Embedding(config.mask_bins, dim)
        self.level = nn.Embedding(config.levels + 1, dim)  # the last one: all levels at once
        self.layers = nn.ModuleList(MambaConvLayer(dim, config.dilations, config) for _ in range(config.layers))
        self.films = nn.ModuleList(Film(config.style_dim, dim) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, config.codebook_size))
            for _ in range(config.levels)
        )
        self.confidence = nn.Linear(dim, config.levels)

    @property
    def all_levels(self) -> int:
        """The ``level`` index that means all levels."""
        return self.levels

    def forward(
        self, codes: Tensor, text: Tensor, style: Tensor, mask: Tensor, *, level: int, share_masked: Tensor
    ) -> Tensor:
        """Features ``(B, T, hidden)``.

        Args:
            codes: int64 ``(B, levels, T)``, ``mask_id`` for unknown tokens.
            text: text features ``(B, T, text_dim)``.
            style: ``(B, style_dim)``.
            mask: ``(B, T, 1)``, 0 in the padding.
            level: the level to predict.
            share_masked: ``(B,)``, fraction of its tokens that are unknown (or not trusted), 0-1.
        """
        x = self.text(text)
        for embedding, own in zip(self.embeddings, codes.unbind(1), strict=True):
            x = x + embedding(own)
        bins = (share_masked * self.bins).long().clamp(0, self.bins - 1)
        x = (x + self.masked(bins).unsqueeze(1) + self.level.weight[level]) * mask
        for layer, film in zip(self.layers, self.films, strict=True):
            x = film(layer(x, mask), style) * mask
        return self.norm(x)

    def logits(self, features: Tensor, level: int) -> Tensor:
        """Logits of the tokens of a level, ``(B, T, codebook_size)``."""
        return self.heads[level](features)

    def all_logits(self, features: Tensor) -> Tensor:
        """Logits of the tokens of all levels, ``(B, levels, T, codebook_size)``."""
        return torch.stack([head(features) for head in self.heads], dim=1)

    def confidences(self, features: Tensor) -> Tensor:
        """Logits of the probability that the best token of a level is correct, ``(B, levels, T)``."""
        return self.confidence(features).mT
