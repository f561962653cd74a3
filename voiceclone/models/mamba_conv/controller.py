"""When to stop generating: whether a further round is worth it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.models.mamba_conv.config import MambaConvConfig

WIDTH = 64
ENOUGH = 0.95  # of confidence


class AdaptiveGenerationController(nn.Module):
    """From the decoder's features, the text and three figures to a logit of "go on"."""

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        self.audio_context_proj = nn.Linear(2 * config.hidden, WIDTH)
        self.text_context_proj = nn.Linear(config.text_dim, WIDTH)
        self.figures_proj = nn.Linear(3, WIDTH)
        self.decide = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1))

    def forward(self, features: Tensor, mask: Tensor, text: Tensor, figures: Tensor) -> Tensor:
        """Logits ``(B,)``.

        Args:
            features: of the decoder, ``(B, T, hidden)``; ``mask`` ``(B, T, 1)`` is 0 in the padding.
            text: the whole text, ``(B, text_dim)``.
            figures: ``(B, 3)``: share of tokens not known, mean confidence, share of tokens that the round changed.
        """
        mean = (features * mask).sum(1) / mask.sum(1).clamp(min=1)
        highest = features.masked_fill(mask == 0, -torch.inf).amax(1)
        audio = self.audio_context_proj(torch.cat([mean, highest], dim=-1))
        return self.decide(audio + self.text_context_proj(text) + self.figures_proj(figures)).squeeze(-1)


def is_enough(go_on: float, confidence: float, number: int, most: int) -> bool:
    """Whether to stop after round ``number`` of at most ``most``.

    Args:
        go_on: probability that a further round helps.
        confidence: mean over the tokens, 0-1.
    """
    return go_on < 0.15 + 0.03 * number / most + 0.1 * (1.0 - confidence) or confidence > ENOUGH
