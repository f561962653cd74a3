"""Duration predictor with an estimate of its own error."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.models.mamba_conv.blocks import MaskedConvs
from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.film import Film

LOG_SPREAD = (-4.0, 2.0)  # limits of log b
USUAL_FRAMES = 3.0  # initial prediction for a token, in frames of 25 ms


class FilmConditionedDurationPredictor(nn.Module):
    """Location and scale of a Laplace distribution over the log duration, conditioned on a style."""

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        dim = config.text_dim
        self.convs = nn.ModuleList(MaskedConvs(dim, dim) for _ in range(2))
        self.films = nn.ModuleList(Film(config.style_dim, dim) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(dim, 2)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([math.log(USUAL_FRAMES), -1.0]))

    def forward(self, features: Tensor, style: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Token features ``(B, N, dim)`` to log durations (frames of 25 ms) and log scales, ``(B, N)`` each."""
        for conv, film, norm in zip(self.convs, self.films, self.norms, strict=True):
            features = self.dropout(F.relu(norm(film(conv(features, mask), style))))
        log_duration, log_scale = self.head(features).unbind(-1)
        return log_duration, log_scale.clamp(*LOG_SPREAD)


def laplace_nll(log_duration: Tensor, log_scale: Tensor, durations: Tensor) -> Tensor:
    """Negative log-likelihood of durations > 0 for each token, without the constant log 2; all ``(B, N)``."""
    return (log_duration - durations.clamp(min=1e-3).log()).abs() / log_scale.exp() + log_scale


def duration_confidence(log_scale: Tensor) -> Tensor:
    """Confidence 0-1 in a duration: ``exp(-b)``, where b is the expected absolute error of its log."""
    return torch.exp(-log_scale.exp())
