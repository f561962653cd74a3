"""How the two systems are trained, beyond what every run has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voiceclone.base_training.config import DEFAULT_WEIGHTS, TrainConfig
from voiceclone.base_training.systems import SystemSettings
from voiceclone.models.mamba_conv.config import CodecConfig, GenerationConfig, MambaConvConfig, presets

SMALL_BATCH = 4  # rows
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
class CodecTraining(SystemSettings):
    """Training of the codec."""

    codebook_size: int = 0
    """Tokens of a level; 0: as many as the preset says."""
    kmeans_batches: int = 20
    """Steps without quantization, whose vectors then start the codebooks."""
    all_levels: float = 0.5
    """Probability of a step that uses all levels; else their number is drawn."""

    def codec_config(self, preset: str) -> CodecConfig:
        """The codec's sizes."""
        return presets(preset, codebook_size=self.codebook_size or None)[0]


@dataclass(frozen=True, kw_only=True)
class MambaConvTraining(SystemSettings):
    """Training of the synthesizer; shares are of the run."""

    codec: str = "own"
    """``own`` trains one first, ``encodec`` is EnCodec out of the Hub's cache; else the folder of a codec or a base."""
    codec_share: float = 0.5
    """Length of the own codec's training as a share of the run's."""
    codebook_size: int = 0
    """Of the own codec; 0: as many tokens a level as the preset says."""
    mixer: str = "mamba"
    """``mamba``, ``gru`` or ``attention``."""
    branch: str = "right"
    """``right``, ``symmetric`` or ``none``."""
    iterations: int = 12
    """Rounds of the coarsest level, at most."""
    min_iterations: int = 6
    """The controller may stop from then on."""
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

    def model_config(self, preset: str, batch: int) -> MambaConvConfig:
        """The synthesizer's sizes; small batches are normed by groups of channels, since they say little of a mean."""
        config = presets(preset, codebook_size=self.codebook_size or None)[1]
        norm = "batch" if batch >= SMALL_BATCH else "group"
        return replace(config, mixer=self.mixer, branch=self.branch, style_norm=norm)

    @property
    def generation(self) -> GenerationConfig:
        """How tokens are generated."""
        return GenerationConfig(rounds=self.iterations, min_rounds=min(self.min_iterations, self.iterations))


def weights_of(config: TrainConfig, own: dict[str, float]) -> dict[str, float]:
    """A system's weights by term; what a run's settings change of the general defaults counts before them."""
    changed = {name: value for name, value in config.weight.items() if DEFAULT_WEIGHTS.get(name) != value}
    return {**own, **changed}
