"""Discriminator head on a speech model's hidden states: StyleTTS2's ``WavLMDiscriminator`` with configurable widths."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
NARROW, WIDE = (32, 64, 64), (64, 128, 256)
"""Channels behind the first convolution, and of those that follow; the last one again."""


class SlmHead(nn.Module):
    """Predict one score per frame from the hidden states of all layers of a speech model.

    Args:
        layers: number of hidden states.
        width: size of each.
        channels: of the first convolution, the second, and the following ones.
    """

    def __init__(self, layers: int, width: int, channels: tuple[int, int, int] = NARROW) -> None:
        super().__init__()
        first, second, third = channels
        self.join = nn.Conv1d(layers * width, first, 1)
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, 5, padding=2) for a, b in ((first, second), (second, third), (third, third))
        )
        self.post = nn.Conv1d(third, 1, 3, padding=1)

    def forward(self, states: Tensor) -> Tensor:
        """Hidden states ``(B, layers, width, frames)`` to scores ``(B, frames)``."""
        x = self.join(states.flatten(1, 2))
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        return self.post(x).squeeze(1)
