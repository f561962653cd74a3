"""Settings that a run of VITS2 has and others do not, and the model they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voiceclone.base_training.systems import SystemSettings
from voiceclone.models.vits2.config import (
    DECODERS,
    FLOWS,
    POSTERIORS,
    FrontEnd,
    Vits2Config,
    changed,
    vits2_preset,
    with_istft,
)

JUDGES = ("conv", "lstm", "none")

TRAIN_DEFAULTS: Mapping[str, Any] = {
    "betas": (0.8, 0.99),
    "adversarial_share": 0.3,
    "crop_batch": 8,
    # The vocoder's own balance is that of the other systems; its level against the divergence is that of VITS.
    "weights": {
        "mel": 30.0, "convergence": 7.5, "spectrum": 7.5, "adversarial": 1.5, "feature_match": 7.5, "kl": 1.0,
        "duration": 1.0, "duration_adversarial": 1.0,
    },
}  # fmt: skip
"""What VITS2 has others of than :class:`voiceclone.base_training.config.TrainConfig`."""


@dataclass(frozen=True, kw_only=True)
class Vits2Settings(SystemSettings):
    """How a VITS2 is built and trained."""

    flow: str = "pre_conv2"
    """Where the flow's transformer sits: a name of :data:`voiceclone.models.vits2.config.FLOWS`; ``none`` is VITS's."""
    decoder: str = "hifigan"
    """``hifigan`` or ``istft``."""
    posterior: str = "mel"
    """``mel`` or ``linear``: what the posterior encoder reads."""
    sdp: bool = False
    """The stochastic duration predictor of VITS in the place of the regression; it is trained on its likelihood."""
    duration_discriminator: str = "conv"
    """``conv``, ``lstm`` or ``none``: against what the durations are trained in the last phase."""
    speaker_encoder: bool = True
    """The speaker enters the text encoder."""
    add_blank: bool = False
    """A pad token between all tokens, as piper's runtime puts it."""
    mas_noise: float = 0.01
    """Standard deviation of the noise on the likelihoods that are aligned, relative to theirs, at the start."""
    mas_noise_share: float = 0.15
    """Share of the run in which that noise falls to 0."""
    given_share: float = 0.05
    """Share of the run at its start in which the corpus's durations are used in the place of the search."""
    mas_from_start: bool = False
    """Search from the first step on, whatever ``given_share`` says."""
    durations_share: float = 0.15
    """Share of the run at its end in which only the duration predictor is trained, against the discriminator."""
    kl_ramp_share: float = 0.1
    """Share of the run in which the weight of the divergence rises from a tenth to all of it."""
    max_frames: int = 480
    """Longest utterance trained on, in frames of the front end."""
    model: dict[str, Any] = field(default_factory=dict)
    """Widths of :class:`voiceclone.models.vits2.config.Vits2Config` that are others than the preset's."""

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
        """Noise of the alignment search at a share of the run; it follows from that alone, so a resumed run has it."""
        if progress >= self.mas_noise_share:
            return 0.0
        return self.mas_noise * (1.0 - progress / self.mas_noise_share)

    def divergence_weight(self, progress: float) -> float:
        """Factor of the divergence's weight at a share of the run."""
        return 1.0 if progress >= self.kl_ramp_share else 0.1 + 0.9 * progress / self.kl_ramp_share

    def phase(self, progress: float) -> str:
        """``given``, ``joint`` or ``durations``: what is trained at a share of the run, and on which durations."""
        if self.trains_durations_apart and progress >= 1.0 - self.durations_share:
            return "durations"
        return "given" if progress < self.given_share and not self.mas_from_start else "joint"

    @property
    def trains_durations_apart(self) -> bool:
        """Whether there is a last phase; a likelihood needs no discriminator."""
        return self.duration_discriminator != "none" and not self.sdp and self.durations_share > 0


def model_config(preset: str, settings: Vits2Settings, speakers: int) -> Vits2Config:
    """The model of a run.

    Args:
        speakers: in the data; one alone gets no embedding.

    Raises:
        UsageError: no such preset.
        ValueError: the settings do not fit together.
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
    return changed(config, settings.model)
