"""Settings of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.systems import STYLETTS2, SystemSettings, find_recipe
from voiceclone.errors import UsageError
from voiceclone.system.settings import setting

DEFAULT_WEIGHTS = {
    "mel": 2.0,
    "convergence": 0.5,
    "spectrum": 0.5,
    "complex": 2.0,
    "features": 4.0,
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
    """Settings of a base training. They are stored in every checkpoint and beside the exported base."""

    system: str = STYLETTS2
    """The system to train: a name of :data:`voiceclone.base_training.systems.SYSTEMS`."""
    system_settings: SystemSettings | None = None
    """Settings specific to the system."""
    preset: str = setting("nano", "nano, full or tiny")
    device: str = "cpu"
    """``cpu``, ``cuda`` or another torch device."""
    seed: int = setting(0, "random seed")
    steps: int | None = setting(None, "length of the run in steps; this or --minutes")
    minutes: float | None = setting(None, "length of the run in minutes of training, what was resumed included")
    learning_rate: float = setting(1e-3, "peak learning rate")
    discriminator_rate: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 5.0
    """Maximum L2 norm of the gradient of all generator parameters."""
    warmup_steps: int = 100
    constant_share: float = 0.35
    """Fraction of the run with a constant learning rate, followed by a cosine to 3 %."""
    acoustic_share: float = 0.06
    """Fraction of the run in stage 1 (acoustic half only). The prosodic encoder then starts as a copy of the acoustic
    one."""
    adversarial_share: float = 0.55
    """Fraction of the run after which adversarial training starts; 1.0 disables it."""
    distillation_share: float = 0.0
    """Fraction of the run, from its start, in which a student's activations are compared with its teacher's."""
    front_share: float = 0.0
    """Fraction of the run, from its start, in which only what comes before a student's generator is trained, by its
    activations."""
    generator_rate: float = 1.0
    """Learning rate of a student's generator relative to ``learning_rate``."""
    ema_half_life: float = 200.0
    """Half-life in steps of the exponential moving average of the weights; shorter at the start of the run."""
    discriminator_every: int = 1
    """Adversarial training takes place every so many steps."""
    discriminator_frames: int = 120
    """Longest stretch of audio for the discriminators, frames of 25 ms: of longer audio a random stretch."""
    crop_frames: int = 32
    """Length of a training crop in frames of 25 ms."""
    crop_batch: int = 8
    long_every: int = 4
    """Every so many steps the crops are three times as long, so that normalisation layers see longer segments."""
    long_batch: int = 3
    prosody_every: int = 2
    """The prosody predictor is trained every so many steps; 0: never."""
    prosody_batch: int = 8
    prosody_frames: int = 120
    """Maximum length for F0 and energy, in frames of 25 ms."""
    style_frames: tuple[int, int] = (96, 144)
    """Minimum and maximum length of a style encoder's input, in mel frames of 12.5 ms."""
    other_utterance: float = 0.6
    """Probability that the style is computed from another utterance of the same speaker."""
    style_noise: float = 0.03
    """Standard deviation of the noise added to a style."""
    checkpoint_minutes: float = 5.0
    log_every: int = 50
    """Steps between progress lines."""
    compile: bool = setting(
        False, "compile the vocoder's residual blocks: needs a C compiler and about two minutes at the start"
    )
    bfloat16: bool = setting(
        False, "run the vocoder's residual blocks and the discriminators in bfloat16; the weights stay float32"
    )
    save_memory: bool = False
    """Compute the vocoder's residual blocks again in the backward pass instead of keeping their activations
    (Kokoro-format bases)."""
    weights: tuple[tuple[str, float], ...] = tuple(DEFAULT_WEIGHTS.items())

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise UsageError("a training run needs either --steps or --minutes: give exactly one")
        if self.steps is not None and self.steps < 1 or self.minutes is not None and self.minutes <= 0:
            raise UsageError("--steps and --minutes must be positive")
        if self.learning_rate <= 0:
            raise UsageError(f"--learning-rate {self.learning_rate:g}: must be positive")
        if self.generator_rate <= 0:
            raise ValueError(f"generator_rate is {self.generator_rate}: it must be positive")
        if self.prosody_every < 0:
            raise ValueError(f"prosody_every is {self.prosody_every}: it must not be negative")
        shares = ("constant_share", "acoustic_share", "adversarial_share", "distillation_share", "front_share")
        for name in (*shares, "other_utterance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must lie in 0-1")
        if self.style_frames[0] < 80:
            raise ValueError("style_frames must start at 80 or more: the style encoder's last convolution needs them")

    @property
    def styletts2(self) -> StyleTTS2Settings:
        """Settings specific to StyleTTS2."""
        own = self.system_settings
        return own if isinstance(own, StyleTTS2Settings) else StyleTTS2Settings()

    @property
    def weight(self) -> dict[str, float]:
        """Loss weights by term."""
        return dict(self.weights)

    @property
    def distils(self) -> bool:
        """Whether a student's activations are compared with its teacher's in a part of the run."""
        return self.distillation_share > 0 or self.front_share > 0

    def trains_prosody(self, step: int) -> bool:
        """Whether the predictor is trained in this step."""
        return self.prosody_every > 0 and step % self.prosody_every == 0

    def seconds_left(self, done: float) -> float | None:
        """Remaining seconds after ``done`` seconds of a run with a time limit; None without one."""
        return None if self.minutes is None else max(60.0 * self.minutes - done, 0.0)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        return {**asdict(self), "weights": dict(self.weights)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainConfig:
        """Inverse of ``to_json``. Missing keys get the default, for which the system may have its own value.

        Raises:
            UsageError: the system is unknown.
            ValueError: a key is unknown, or a value has the wrong type.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown training settings: {', '.join(sorted(unknown))}")
        recipe = find_recipe(values.get("system", STYLETTS2))
        given = values.get("system_settings")
        weights = {**DEFAULT_WEIGHTS, **recipe.defaults.get("weights", {}), **values.get("weights", {})}
        values = {**recipe.defaults, **values, "weights": tuple(weights.items())}
        for name in ("betas", "style_frames"):
            if name in values:
                values[name] = tuple(values[name])
        # StyleTTS2's basic recipe has no settings, and older runs have none.
        basic = recipe.settings is StyleTTS2Settings and not given
        values["system_settings"] = None if basic else recipe.read_settings(given)
        return cls(**values)
