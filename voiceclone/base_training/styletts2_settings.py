"""Optional parts of StyleTTS2's training beyond the basic recipe. All are disabled by default."""

from __future__ import annotations

from dataclasses import dataclass, fields

from voiceclone.base_training.systems import SystemSettings
from voiceclone.errors import UsageError

CHOICES = {
    "decoder": ("istftnet", "hifigan"),
    "discriminators": ("narrow", "full"),
    "slm": ("none", "auto", "whisper", "wavlm"),
    "schedule": ("joint", "two_stage"),
    "augmentation": ("mild", "styletts2"),
}


@dataclass(frozen=True, kw_only=True)
class StyleTTS2Settings(SystemSettings):
    """Settings specific to StyleTTS2.

    Fields named ``*_share`` are fractions of the run (0-1) after which a part starts, except ``rehearsal_share``.
    """

    decoder: str = "istftnet"
    """``istftnet`` (Kokoro's, fast) or ``hifigan`` (twice the computation)."""
    discriminators: str = "narrow"
    """``narrow`` (4 periods, 3 resolutions) or ``full`` (5 periods, 3 resolutions)."""
    tprls: bool = False
    """Add StyleTTS2's relative loss (TPRLS) to the discriminators' and the generator's adversarial loss."""
    augmentation: str = "mild"
    """Over how many frames F0 and energy are smoothed: ``mild`` (1, 3 or 7, half of the batches not at all) or
    ``styletts2`` (F0 over 1, 3 or 7, energy over 1, 3, 7 or 15, all equally often)."""

    diffusion: bool = False
    """Train a style sampler."""
    diffusion_share: float = 0.35
    diffusion_every: int = 2
    diffusion_batch: int = 8
    diffusion_rate: float = 5e-4
    """Learning rate of the style sampler."""
    diffusion_half_life: float = 200.0
    """Half-life of the style sampler's moving average, in its steps."""
    text_dropout: float = 0.1
    """Fraction of the style sampler's rows without text, for classifier-free guidance."""
    style_sample_every: int = 4
    """Every so many of its steps, the style sampler is also run to the end and the sample compared to the true
    style."""
    style_sample_weight: float = 1.0

    slm: str = "none"
    """Speech model whose features the adversary uses: ``whisper``, ``wavlm``, ``auto`` (wavlm, else whisper) or
    ``none``."""
    slm_share: float = 0.75
    slm_every: int = 4
    slm_batch: int = 2
    slm_frames: tuple[int, int] = (64, 96)
    """Minimum and maximum length of the adversary's crops, in frames of 25 ms."""
    slm_discriminator_every: int = 2
    """The adversary's head is trained every so many of these steps."""
    slm_max_duration_error: float = 0.05
    """Relative error of an utterance's length above which the step is skipped, because durations are not trained
    yet."""
    slm_weight: float = 0.2

    schedule: str = "joint"
    """``joint``: decoder and predictor learn side by side, each from the recordings. ``two_stage``: StyleTTS2's: from
    ``acoustic_share`` on the predictor learns through the frozen decoder, from ``joint_share`` on all are open."""
    joint_share: float = 0.6
    """Fraction of the run after which the frozen parts are trained again in the two-stage schedule."""
    stage_one_fall: float = 0.9
    """The second stage requires that the mel distance has fallen below this fraction of its initial value."""

    aligner: bool = False
    """Train a text aligner with the model, initialized on the durations of the data."""
    aligner_share: float = 0.15
    aligner_pretraining: int = 500
    """Steps of training the aligner on the durations of the data before the run."""

    finetune: str = ""
    """The base to fine-tune (``nano``, ``kokoro`` or a folder), which determines the model's sizes; empty: from
    scratch."""
    rehearsal_share: float = 0.2
    """Fraction of the decoder's rows in fine-tuning that are synthesised by the base with its stock voices."""
    rehearsal_utterances: int = 60

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"{name} {getattr(self, name)!r}: use one of {', '.join(known)}")
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name.endswith("_share") and not 0 <= value <= 1:
                raise ValueError(f"{one.name} is {value}: it must lie in 0-1")
            if one.name.endswith(("_every", "_batch")) and value < 1:
                raise ValueError(f"{one.name} is {value}: it must be 1 or more")
        low, high = self.slm_frames
        if not 1 <= low <= high:
            raise ValueError(f"slm_frames is {self.slm_frames}: give the shortest and the longest crop")
