"""The recipes of stage 2 and their parts, each of which can be left out to see what it is worth."""

from __future__ import annotations

from dataclasses import replace

from voiceclone.errors import UsageError
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.plain import WEIGHTS as PLAIN_WEIGHTS

PLAIN = "plain"
PARTS = {
    "alignment": "phone durations of the clips by dynamic time warping (else the base's own, stretched)",
    "initialization": "the initialization among stock voices (else their mean)",
    "blend": "the convex blend of stock voices as an initialization",
    "prior": "the pre-trained map: zero-shot voice as an initialization, and the network's first weights",
    "mel": "the mel errors",
    "speaker": "the speaker encoder's term",
    "phones": "the phone classifier's term: each frame is to be classified as its phone",
    "free-running": "the crops spoken with the voice's own durations, F0 and energy (else all follow the recording)",
    "prosody": "the duration, F0 and energy terms",
    "drift": "the pull towards the initialization",
    "rows": "the length profile (else all rows are alike)",
    "average": "the running average of the weights (else the last ones speak)",
    "stop": "the early end, and the choice of the best epoch on held-out clips",
}
_WEIGHTS_OF = {
    "mel": ("mel_mse", "mel"),
    "speaker": ("speaker",),
    "phones": ("phones",),
    "prosody": ("duration", "rate", "f0", "f0_level", "f0_spread", "energy"),
    "drift": ("drift",),
}


def parse_parts(text: str) -> frozenset[str]:
    """``"drift,speaker"`` to the set of names.

    Raises:
        UsageError: a name is no part.
    """
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if unknown := sorted(names - set(PARTS)):
        raise UsageError(f"--without {unknown[0]!r}: use a comma-separated list of {', '.join(PARTS)}")
    return names


def projection_config(recipe: str, without: frozenset[str], *, epochs: int, lr: float, seed: int) -> ProjectionConfig:
    """Settings of stage 2 for a recipe, less some of its parts."""
    config = ProjectionConfig(epochs=epochs, lr=lr, seed=seed, without=without)
    if recipe == PLAIN:
        # Of the parts it has the length profile alone, so that nothing else can be left out of it.
        own = without & {"rows"}
        return replace(config, plain=True, free_running=False, averaging=0.0, weights=PLAIN_WEIGHTS, without=own)
    gone = {weight: 0.0 for part in without for weight in _WEIGHTS_OF.get(part, ())}
    config = replace(config, weights=replace(LossWeights(), **gone), free_running="free-running" not in without)
    if "average" in without:
        config = replace(config, averaging=0.0)
    return replace(config, keep_last=True) if "stop" in without else config
