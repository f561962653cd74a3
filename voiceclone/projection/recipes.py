"""Settings of stage 2 for a recipe, with parts disabled for ablation."""

from __future__ import annotations

from dataclasses import replace

from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.parts import PLAIN
from voiceclone.projection.plain import WEIGHTS as PLAIN_WEIGHTS

_WEIGHTS_OF = {
    "mel": ("mel_mse", "mel"),
    "speaker": ("speaker",),
    "phones": ("phones",),
    "prosody": ("duration", "rate", "f0", "f0_level", "f0_spread", "energy"),
}


def projection_config(
    recipe: str, without: frozenset[str], *, epochs: int, lr: float, seed: int, finish: int = 0
) -> ProjectionConfig:
    """The settings of stage 2 for a recipe.

    Args:
        recipe: name of the recipe.
        without: names of the parts to disable.
        epochs: number of epochs.
        lr: learning rate.
        seed: random seed.
        finish: number of the last epochs that run on the base, those before on its student; 0: all on the base.
    """
    config = ProjectionConfig(epochs=epochs, finish=finish, lr=lr, seed=seed)
    if recipe == PLAIN:  # it has none of the parts, so that none can be disabled
        return replace(config, plain=True, free_running=False, weights=PLAIN_WEIGHTS)
    left_out = {weight: 0.0 for part in without for weight in _WEIGHTS_OF.get(part, ())}
    return replace(
        config,
        weights=replace(LossWeights(), **left_out),
        free_running="free-running" not in without,
        without=without,
    )
