"""Settings specific to VITS2, and the model they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from voiceclone.base_training.losses import SHORTEST_AUDIO
from voiceclone.base_training.systems import SystemSettings
from voiceclone.errors import UsageError
from voiceclone.models.presets import full_config
from voiceclone.models.vits2.config import (
    DECODERS,
    FLOWS,
    POSTERIORS,
    FrontEnd,
    Vits2Config,
    changed,
    vits2_preset,
    with_istft,
    with_vocos,
)

if TYPE_CHECKING:
    from voiceclone.base_training.config import TrainConfig
    from voiceclone.base_training.corpus import Corpus

JUDGES = ("conv", "lstm", "none")

TRAIN_DEFAULTS: Mapping[str, Any] = {
    "betas": (0.8, 0.99),
    # As in VITS, gradients are not clipped in effect: their norm varies between 10 and 500, and clipping to 5 would let
    # the steps with large divergence take the gradient from all other terms.
    "clip": 1000.0,
    # A step with discriminators takes twice the time on a CPU.
    "adversarial_share": 0.6,
    "discriminator_every": 4,
    "crop_batch": 8,
    # Relative weights of the audio terms as in the other systems. VITS weights the divergence ten times as high; in a
    # run of an hour the latent frames then contain too little for the alignment search to learn from.
    "weights": {
        "mel": 30.0, "convergence": 7.5, "spectrum": 7.5, "adversarial": 1.5, "feature_match": 7.5, "kl": 0.1,
        "duration": 1.0, "duration_adversarial": 1.0,
    },
}  # fmt: skip
"""Defaults of :class:`voiceclone.base_training.config.TrainConfig` that differ for VITS2."""


@dataclass(frozen=True, kw_only=True)
class Vits2Settings(SystemSettings):
    """Settings of the model and its training."""

    flow: str = "pre_conv2"
    """Position of the flow's transformer: a name of :data:`voiceclone.models.vits2.config.FLOWS`; ``none`` as in
    VITS."""
    decoder: str = "vocos"
    """``hifigan``, ``istft`` or ``vocos``."""
    posterior: str = "mel"
    """Input of the posterior encoder: ``mel`` or ``linear``."""
    sdp: bool = False
    """Use VITS' stochastic duration predictor, trained by its likelihood, instead of the regression."""
    duration_discriminator: str = "lstm"
    """Discriminator of the durations in the last phase: ``conv``, ``lstm`` or ``none``."""
    speaker_encoder: bool = True
    """Condition the text encoder on the speaker."""
    add_blank: bool = False
    """Insert a pad token between all tokens, as piper's runtime does."""
    mas_noise: float = 0.01
    """Initial standard deviation of the noise on the log-likelihoods in alignment search, relative to theirs."""
    mas_noise_share: float = 0.6
    """Fraction of the run in which that noise decreases to 0."""
    given_share: float = 0.3
    """Fraction of the run at its start that uses the corpus' durations instead of alignment search."""
    mas_from_start: bool = False
    """Search the alignment from the first step on, regardless of ``given_share``."""
    durations_share: float = 0.15
    """Fraction of the run at its end that trains only the duration predictor, with the discriminator."""
    kl_ramp_share: float = 0.5
    """Fraction of the run in which the weight of the divergence rises from 0.1 to 1."""
    max_frames: int = 480
    """Maximum length of a training utterance, in frames of the front end."""
    model: dict[str, Any] = field(default_factory=dict)
    """Sizes of :class:`voiceclone.models.vits2.config.Vits2Config` that differ from the preset's."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("flow", FLOWS), ("decoder", DECODERS), ("posterior", POSTERIORS), ("duration_discriminator", JUDGES),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}: use one of {', '.join(allowed)}")
        for name in ("mas_noise_share", "given_share", "durations_share", "kl_ramp_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must lie in 0-1")
        if self.mas_noise < 0 or self.max_frames < 1:
            raise ValueError("mas_noise must not be negative, max_frames must be positive")

    def noise_at(self, progress: float) -> float:
        """Noise of the alignment search at a fraction of the run."""
        if progress >= self.mas_noise_share:
            return 0.0
        return self.mas_noise * (1.0 - progress / self.mas_noise_share)

    def divergence_weight(self, progress: float) -> float:
        """Factor of the divergence's weight at a fraction of the run."""
        return 1.0 if progress >= self.kl_ramp_share else 0.1 + 0.9 * progress / self.kl_ramp_share

    def phase(self, progress: float) -> str:
        """``given``, ``joint`` or ``durations``: what is trained at a fraction of the run, and with which durations."""
        if self.trains_durations_apart and progress >= 1.0 - self.durations_share:
            return "durations"
        return "given" if progress < self.given_share and not self.mas_from_start else "joint"

    @property
    def trains_durations_apart(self) -> bool:
        """True where there is a last phase; a likelihood-based predictor has none."""
        return self.duration_discriminator != "none" and not self.sdp and self.durations_share > 0


def model_config(preset: str, settings: Vits2Settings, speakers: int) -> Vits2Config:
    """The model of a run.

    Args:
        preset: name of the preset.
        settings: of VITS2.
        speakers: number in the data; a single one gets no embedding.

    Raises:
        UsageError: there is no such preset.
        ValueError: the settings are not consistent.
    """
    config = replace(
        vits2_preset(preset),
        flow=settings.flow,
        stochastic_durations=settings.sdp,
        speaker_in_text=settings.speaker_encoder,
        add_blank=settings.add_blank,
        speakers=speakers if speakers > 1 else 0,
    )
    if settings.posterior == "linear":
        config = replace(config, front_end=FrontEnd(posterior="linear", n_fft=1024, win=1024))
    if settings.decoder == "istft":
        config = with_istft(config)
    if settings.decoder == "vocos":
        # The sizes of the spectrum follow from the front end, which the run's settings may change.
        config = with_vocos(config, replace(config.front_end, **settings.model.get("front_end", {})))
    return changed(config, settings.model)


def run_model(corpus: Corpus, config: TrainConfig) -> Vits2Config:
    """The model config of a run.

    Raises:
        UsageError: the settings are not consistent.
    """
    settings = config.system_settings
    assert isinstance(settings, Vits2Settings)
    try:
        model = model_config(config.preset, settings, len(corpus.speakers))
        if model.symbols <= max(full_config()["vocab"].values()):
            raise ValueError(f"symbols is {model.symbols}: the vocabulary needs more")
        if model.crop_frames * model.front_end.hop < SHORTEST_AUDIO:
            raise ValueError(f"crop_frames is {model.crop_frames}: a crop needs {SHORTEST_AUDIO} samples or more")
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"--settings, --set: {error}: correct it") from error
    return model
