"""Early stopping of the token generation: predicts whether another round is worthwhile."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceclone.models.mamba_conv.config import MambaConvConfig

WIDTH = 64
ENOUGH = 0.95  # mean confidence above which the generation stops


class AdaptiveGenerationController(nn.Module):
    """Decoder features, text features and three statistics to a logit of "continue"."""

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        self.audio_context_proj = nn.Linear(2 * config.hidden, WIDTH)
        self.text_context_proj = nn.Linear(config.text_dim, WIDTH)
        self.figures_proj = nn.Linear(3, WIDTH)
        self.decide = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1))

    def forward(self, features: Tensor, mask: Tensor, text: Tensor, figures: Tensor) -> Tensor:
        """Logits ``(B,)``.

        Args:
            features: of the decoder, ``(B, T, hidden)``.
            mask: ``(B, T, 1)``, 0 in the padding.
            text: features of the whole text, ``(B, text_dim)``.
            figures: ``(B, 3)``: fraction of undecided tokens, mean confidence, fraction of tokens changed in the round.
        """
        mean = (features * mask).sum(1) / mask.sum(1).clamp(min=1)
        highest = features.masked_fill(mask == 0, -torch.inf).amax(1)
        audio = self.audio_context_proj(torch.cat([mean, highest], dim=-1))
        return self.decide(audio + self.text_context_proj(text) + self.figures_proj(figures)).squeeze(-1)


def is_enough(go_on: float, confidence: float, number: int, most: int) -> bool:
    """True where the generation stops after round ``number`` of at most ``most``.

    Args:
        go_on: predicted probability that another round helps.
        confidence: mean over the tokens, 0-1.
        number: of the round, from 1.
        most: maximum number of rounds.
    """
    return go_on < 0.15 + 0.03 * number / most + 0.1 * (1.0 - confidence) or confidence > ENOUGH
