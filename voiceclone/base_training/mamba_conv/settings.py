"""How the two systems are trained, beyond what every run has."""

from __future__ import annotations

from dataclasses import dataclass, field

from voiceclone.base_training.config import DEFAULT_WEIGHTS, TrainConfig
from voiceclone.models.mamba_conv.config import GenerationConfig

WEIGHTS = {
    "tokens": 1.0,
    "duration": 0.5,
    "duration_total": 0.5,
    "pitch": 0.1,
    "voiced": 0.05,
    "energy": 0.1,
    "attributes": 0.5,
    "speaker": 0.1,
    "style_range": 1.0,
    "confidence": 0.1,
    "stopping": 0.1,
}
CODEC_WEIGHTS = {
    "mel": 2.0,
    "convergence": 0.5,
    "spectrum": 0.5,
    "adversarial": 0.1,
    "feature_match": 0.5,
    "commit": 0.25,
}


@dataclass(frozen=True, kw_only=True)
class MambaConvTraining:
    """Training of the synthesizer; shares are of the run."""

    corrupted: float = 0.2
    """Share of the steps that learn to refine: random tokens stand where others are masked."""
    label_smoothing: float = 0.1
    style_dropout: float = 0.1
    """Probability that an utterance is trained without its style."""
    confidence_share: float = 0.3
    """Of the run before confidence is learned."""
    stopping_share: float = 0.5
    """Of the run before stopping is learned."""
    stopping_every: int = 20
    """It is learned every so many steps: a step of it takes a whole generation."""
    stopping_rows: int = 4
    stopping_gain: float = 0.005
    """Rise of the token accuracy for which a further round is worth it."""
    generation: GenerationConfig = field(default_factory=GenerationConfig)


@dataclass(frozen=True, kw_only=True)
class CodecTraining:
    """Training of the codec."""

    kmeans_batches: int = 20
    """Steps without quantization, whose vectors then start the codebooks."""
    all_levels: float = 0.5
    """Probability of a step that uses all levels; else their number is drawn."""


def weights_of(config: TrainConfig, own: dict[str, float]) -> dict[str, float]:
    """A system's weights by term; those in which a run's settings differ from the general defaults count before them."""
    changed = {name: value for name, value in config.weight.items() if DEFAULT_WEIGHTS.get(name) != value}
    return {**own, **changed}
