"""The projection network: 256 -> 512 -> 512 -> 256, LayerNorm, ReLU and dropout between, tanh at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.voice.pack import VOICE_DIM

HIDDEN = 512
_LARGEST_OUTPUT = 0.97  # maximum |value| of an initialization: tanh never reaches 1, and its gradient vanishes near it
# Mean of ReLU(LayerNorm(.)): the average factor between a change of a weight and that of the next layer's input.
_MEAN_ACTIVATION = 0.4
_STEP = 4.0  # change of the output in one step, in multiples of the learning rate


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Shape of the projection."""

    dropout: float = 0.1  # probability in [0, 1)

    def __post_init__(self) -> None:
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")


class Projection(nn.Module):
    """Map a StyleTTS2 style ``(B, 256)`` to a Kokoro base vector ``(B, 256)`` in (-1, 1)."""

    def __init__(self, config: MlpConfig = MlpConfig()) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(VOICE_DIM, HIDDEN),
            nn.LayerNorm(HIDDEN),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LayerNorm(HIDDEN),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(HIDDEN, VOICE_DIM),
            nn.Tanh(),
        )

    def forward(self, style: Tensor) -> Tensor:
        """Style ``(B, 256)`` to base vector ``(B, 256)``."""
        return self.layers(style)

    @torch.no_grad()
    def initialize_at(self, anchor: Tensor) -> None:
        """Make every style map to ``anchor`` ``(1, 256)``: last weights zero, last bias its inverse tanh."""
        last = self.layers[-2]
        last.weight.zero_()
        last.bias.copy_(torch.atanh(anchor.detach().flatten().clamp(-_LARGEST_OUTPUT, _LARGEST_OUTPUT)))


def parameter_groups(projection: Projection, lr: float, *, even: bool = False) -> list[dict[str, Any]]:
    """Optimizer groups with learning rates for which one step changes the *output* by about four times ``lr``.

    Adam changes every weight by ``lr``. Summed over 512 inputs, a learning rate of 1e-3 would move the voice out of the
    range of real voices within three steps. A matrix therefore gets ``lr`` divided by its number of inputs times their
    mean (muP, the rule that makes step sizes independent of width: Yang et al. 2022, "Tensor Programs V").

    Args:
        projection: the network.
        lr: learning rate.
        even: use ``lr`` for every parameter, as the plain recipe does.
    """
    groups = []
    for parameter in projection.parameters():
        inputs = _MEAN_ACTIVATION * parameter.shape[1] if parameter.ndim == 2 else 1.0
        scale = 1.0 if even else _STEP / inputs
        groups.append({"params": [parameter], "lr": lr * scale, "scale": scale})
    return groups
