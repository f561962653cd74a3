"""Settings of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.errors import UsageError

DEFAULT_WEIGHTS = {
    "mel": 2.0,
    "convergence": 0.5,
    "spectrum": 0.5,
    "complex": 2.0,
    "adversarial": 0.1,
    "feature_match": 0.5,
    "style_range": 1.0,
    "speaker": 0.1,
    "duration": 1.0,
    "duration_bins": 5.0,
    "duration_total": 1.0,
    "f0": 1.0,
    "energy": 1.0,
    "attributes": 0.5,
    "slm_features": 0.2,
    "mono": 1.0,
    "s2s": 1.0,
    "joint_mel": 2.0,
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a base is trained; saved in every checkpoint and beside the exported base."""

    preset: str = "nano"
    device: str = "cpu"
    """``cpu``, ``cuda`` or another device of torch's."""
    seed: int = 0
    steps: int | None = None
    """Length of the run in optimiser steps; give this or ``minutes``."""
    minutes: float | None = None
    """Length of the run in minutes of training time (resumed runs count what they trained before)."""
    learning_rate: float = 1e-3
    discriminator_rate: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 5.0
    """Norm to which the gradient of all generator parameters is cut."""
    warmup_steps: int = 100
    constant_share: float = 0.35
    """Share of the run at the full rate; a cosine down to 3 % follows."""
    acoustic_share: float = 0.06
    """Share of the run in stage 1, acoustic half alone; then the prosodic encoder starts as a copy of the acoustic."""
    adversarial_share: float = 0.55
    """Share of the run before the discriminators join; 1.0 trains without them."""
    ema_half_life: float = 200.0
    """Steps in which the weight of a past step in the averaged model halves, once the run is old enough."""
    discriminator_every: int = 1
    """The discriminators take part in every so many steps."""
    crop_frames: int = 32
    """Frames of 25 ms of a training crop."""
    crop_batch: int = 8
    long_every: int = 4
    """Every so many steps crops are three times as long, so that normalisation sees longer stretches."""
    long_batch: int = 3
    prosody_every: int = 2
    """The prosody half is trained every so many steps."""
    prosody_batch: int = 8
    prosody_frames: int = 120
    """Longest stretch for F0 and energy, frames of 25 ms."""
    style_frames: tuple[int, int] = (96, 144)
    """Shortest and longest mel crop (frames of 12.5 ms) a style is taken from."""
    other_utterance: float = 0.6
    """Probability that the style comes from another utterance of the same speaker."""
    style_noise: float = 0.03
    """Standard deviation of the noise on a style."""
    checkpoint_minutes: float = 5.0
    log_every: int = 50
    """Steps between progress lines."""
    compile: bool = False
    """Compile the vocoder's residual blocks; needs a C compiler and about two minutes at the start."""
    bfloat16: bool = False
    """Run the vocoder's residual blocks and the discriminators in bfloat16; the weights stay float32."""
    weights: tuple[tuple[str, float], ...] = tuple(DEFAULT_WEIGHTS.items())
    system_settings: StyleTTS2Settings | None = None
    """What is switched on beyond the basic recipe; None: nothing."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise UsageError("a training run needs either --steps or --minutes: give exactly one")
        if self.steps is not None and self.steps < 1 or self.minutes is not None and self.minutes <= 0:
            raise UsageError("--steps and --minutes must be positive")
        for name in ("constant_share", "acoustic_share", "adversarial_share", "other_utterance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must lie in 0-1")
        if self.style_frames[0] < 80:
            raise ValueError("style_frames must start at 80 or more: the style encoder's last convolution needs them")

    @property
    def styletts2(self) -> StyleTTS2Settings:
        """The settings of StyleTTS2's own parts."""
        return self.system_settings or StyleTTS2Settings()

    @property
    def weight(self) -> dict[str, float]:
        """Weights by term."""
        return dict(self.weights)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        return {**asdict(self), "weights": dict(self.weights)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainConfig:
        """The inverse of ``to_json``; unknown keys are refused.

        Raises:
            ValueError: unknown keys.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown training settings: {', '.join(sorted(unknown))}")
        values = dict(values)
        for name in ("betas", "style_frames"):
            values[name] = tuple(values[name])
        values["weights"] = tuple({**DEFAULT_WEIGHTS, **values["weights"]}.items())
        given = values.get("system_settings")
        values["system_settings"] = None if given is None else StyleTTS2Settings.from_json(given)
        return cls(**values)
