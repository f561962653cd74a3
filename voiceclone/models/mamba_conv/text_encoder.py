"""Text encoder: tokens to features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.models.mamba_conv.blocks import MambaConvLayer
from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.film import Film


class MambaConvTextEncoder(nn.Module):
    """Embeddings, then layers of :mod:`.blocks`, modulated by the style."""

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        dim = config.text_dim
        self.embedding = nn.Embedding(config.tokens, dim)
        self.layers = nn.ModuleList(
            MambaConvLayer(dim, config.text_dilations, config) for _ in range(config.text_layers)
        )
        self.film = Film(config.style_dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.attend = nn.Linear(dim, 1)

    def forward(self, tokens: Tensor, style: Tensor, mask: Tensor) -> Tensor:
        """Ids ``(B, N)`` to features ``(B, N, dim)``; ``mask`` ``(B, N, 1)`` is 0 in the padding."""
        x = self.embedding(tokens) * mask
        for layer in self.layers:
            x = layer(x, mask)
        return self.film(self.norm(x), style) * mask

    def pooled(self, features: Tensor, mask: Tensor) -> Tensor:
        """One vector for the whole text, ``(B, dim)``. It has no order information; used by the controller only.

        The controller's loss trains the weights of this sum, and nothing else of the encoder.
        """
        features = features.detach()
        scores = self.attend(features).masked_fill(mask == 0, -torch.inf)
        return (scores.softmax(dim=1) * features).sum(dim=1)
