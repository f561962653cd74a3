"""Settings specific to the two systems."""

from __future__ import annotations

from dataclasses import dataclass, replace

from voiceclone.base_training.systems import SystemSettings
from voiceclone.models.mamba_conv.config import CodecConfig, GenerationConfig, MambaConvConfig, presets

SMALL_BATCH = 4  # batches with fewer rows use group normalisation
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
    """Settings of the codec's training."""

    codebook_size: int = 0
    """Tokens of a level; 0: the preset's number."""
    kmeans_batches: int = 20
    """Steps without quantization. Their vectors initialize the codebooks by k-means."""
    all_levels: float = 0.5
    """Probability that a step uses all levels; otherwise their number is drawn."""

    def codec_config(self, preset: str) -> CodecConfig:
        """The codec's sizes."""
        return presets(preset, codebook_size=self.codebook_size or None)[0]


@dataclass(frozen=True, kw_only=True)
class MambaConvTraining(SystemSettings):
    """Settings of the synthesizer's training. Fields named ``*_share`` are fractions of the run."""

    codec: str = "own"
    """``own`` (trained first), ``encodec`` (EnCodec from the Hub's cache), or the folder of a codec or base."""
    codec_share: float = 0.5
    """Length of the own codec's training as a fraction of the run's."""
    codebook_size: int = 0
    """Tokens of a level of the own codec; 0: the preset's number."""
    mixer: str = "mamba"
    """``mamba``, ``gru`` or ``attention``."""
    branch: str = "right"
    """``right``, ``symmetric`` or ``none``."""
    iterations: int = 12
    """Maximum number of rounds for the coarsest level."""
    min_iterations: int = 6
    """Minimum number of rounds before the controller may stop."""
    corrupted: float = 0.2
    """Fraction of the steps that train refinement, with random tokens instead of masked ones."""
    label_smoothing: float = 0.1
    style_dropout: float = 0.1
    """Probability that the style of an utterance is dropped in training."""
    confidence_share: float = 0.3
    """Fraction of the run after which the confidence is trained."""
    stopping_share: float = 0.5
    """Fraction of the run after which the stopping controller is trained."""
    stopping_every: int = 10
    """The controller is trained every so many steps, because each of these runs a whole generation."""
    stopping_rows: int = 4
    stopping_gain: float = 0.02
    """Minimum increase of the token accuracy for which the remaining rounds are worthwhile: three tokens of two
    seconds."""

    def model_config(self, preset: str, batch: int) -> MambaConvConfig:
        """The synthesizer's sizes.

        Args:
            preset: name.
            batch: rows of a batch in one process. Small ones use group normalisation, because their batch statistics
                are unreliable.
        """
        config = presets(preset, codebook_size=self.codebook_size or None)[1]
        norm = "batch" if batch >= SMALL_BATCH else "group"
        return replace(config, mixer=self.mixer, branch=self.branch, style_norm=norm)

    @property
    def generation(self) -> GenerationConfig:
        """Settings of the token generation."""
        return GenerationConfig(rounds=self.iterations, min_rounds=min(self.min_iterations, self.iterations))
