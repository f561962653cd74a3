"""Variance adaptor: predicts pitch and energy of every token and adds them to its features."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.models.mamba_conv.blocks import MaskedConvs
from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.film import Film


@dataclass(frozen=True, kw_only=True, eq=False)
class Prosody:
    """Prosody of tokens, ``(B, N)`` each."""

    pitch: Tensor = field(repr=False)
    """Log F0, normalised by the speaker's mean and standard deviation; 0 where unvoiced."""
    voiced: Tensor = field(repr=False)
    """1 where voiced, 0 elsewhere; in a prediction the logit."""
    energy: Tensor = field(repr=False)
    """Log energy, normalised by the speaker's mean and standard deviation."""


class NormalizedVarianceAdaptor(nn.Module):
    """Predicts prosody, and adds its layer-normed embedding to the features."""

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        dim = config.text_dim
        self.convs = nn.ModuleList(MaskedConvs(dim, dim) for _ in range(2))
        self.films = nn.ModuleList(Film(config.style_dim, dim) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(dim, 3)
        self.embed = MaskedConvs(3, dim)
        self.embed_norm = nn.LayerNorm(dim)

    def predict(self, features: Tensor, style: Tensor, mask: Tensor) -> Prosody:
        """The prosody of tokens ``(B, N, dim)`` for a style; ``voiced`` is a logit."""
        for conv, film, norm in zip(self.convs, self.films, self.norms, strict=True):
            features = self.dropout(F.relu(norm(film(conv(features, mask), style))))
        pitch, voiced, energy = self.head(features).unbind(-1)
        return Prosody(pitch=pitch, voiced=voiced, energy=energy)

    def add(self, features: Tensor, prosody: Prosody, mask: Tensor) -> Tensor:
        """Add known prosody to features ``(B, N, dim)``."""
        values = torch.stack([prosody.pitch * prosody.voiced, prosody.voiced, prosody.energy], dim=-1)
        return features + self.embed_norm(self.embed(values, mask)) * mask


def decided(prediction: Prosody) -> Prosody:
    """Convert a prediction to an input of :meth:`NormalizedVarianceAdaptor.add`: logits become decisions."""
    voiced = (prediction.voiced > 0).to(prediction.pitch.dtype)
    return Prosody(pitch=prediction.pitch, voiced=voiced, energy=prediction.energy)
