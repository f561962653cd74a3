"""What can be switched on in the training of a StyleTTS2 base beyond its basic recipe; all of it is off by default."""

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
    """Settings of StyleTTS2's own parts. Shares are shares of the run (0-1) before the part begins."""

    decoder: str = "istftnet"
    """``istftnet`` (Kokoro's, quick) or ``hifigan`` (twice the work)."""
    discriminators: str = "narrow"
    """``narrow`` (4 periods, 2 resolutions) or ``full`` (5 periods, 3 resolutions)."""
    tprls: bool = False
    """Add the relative loss of StyleTTS2's discriminators to both sides of the adversarial loss."""
    augmentation: str = "mild"
    """Over how many frames F0 and energy are smoothed: ``mild`` (1, 3 or 7, half of the batches not at all) or
    ``styletts2`` (F0 over 1, 3 or 7, energy over 1, 3, 7 or 15, all equally often)."""

    diffusion: bool = False
    """Train a sampler of styles."""
    diffusion_share: float = 0.35
    diffusion_every: int = 2
    diffusion_batch: int = 8
    diffusion_rate: float = 5e-4
    """Learning rate of the sampler."""
    diffusion_half_life: float = 200.0
    """Steps of the sampler in which the weight of a past one in its average halves."""
    text_dropout: float = 0.1
    """Share of the sampler's rows that it must do without the text, which guidance needs."""
    style_sample_every: int = 4
    """Every so many of its steps the sampler is also run to the end, and its outcome compared."""
    style_sample_weight: float = 1.0

    slm: str = "none"
    """Speech model whose features the adversary hears: ``whisper``, ``wavlm``, ``auto`` (wavlm, else whisper) or
    ``none``."""
    slm_share: float = 0.75
    slm_every: int = 4
    slm_batch: int = 2
    slm_frames: tuple[int, int] = (64, 96)
    """Shortest and longest crop that the adversary hears, frames of 25 ms."""
    slm_discriminator_every: int = 2
    """The adversary itself learns at every so many of these steps."""
    slm_max_duration_error: float = 0.05
    """Relative error of an utterance's length above which the step is left out: durations are not learned yet."""
    slm_weight: float = 0.2

    schedule: str = "joint"
    """``joint``: decoder and predictor learn side by side, each from the recordings. ``two_stage``: StyleTTS2's: from
    ``acoustic_share`` on the predictor learns through the frozen decoder, from ``joint_share`` on all are open."""
    joint_share: float = 0.6
    """Share of the run before the frozen parts open again in the schedule of two stages."""
    stage_one_fall: float = 0.9
    """The second stage begins where the mel distance has fallen below this share of what it was at first."""

    aligner: bool = False
    """Train a text aligner with the model; the durations of the data are where it starts from."""
    aligner_share: float = 0.15
    aligner_pretraining: int = 500
    """Steps in which it learns the durations of the data before the run."""

    finetune: str = ""
    """The base to fine-tune (``nano``, ``kokoro`` or a folder), whose widths the model has; empty: from scratch."""
    rehearsal_share: float = 0.2
    """Share of the decoder's rows in fine-tuning that are speech of the base in its own stock voices."""
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
