"""Settings of stage 2."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from voiceclone.projection.losses import LossWeights
from voiceclone.projection.mlp import MlpConfig


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """Settings of stage 2."""

    epochs: int = 100
    finish: int = 0  # number of the last epochs that run on the base, those before on its student; 0: all on the base
    # one step changes each output value by about 4 lr; the values of a voice have a standard deviation of 0.2
    lr: float = 1e-3
    seed: int = 0
    batch: int = 4  # crops in a step
    max_crops_per_epoch: int = 4  # an epoch takes one crop of each clip, at most this many
    crop_frames: int = 48  # frames of 25 ms: 1.2 s, enough for the speaker encoder
    max_validation_crops: int = 4
    validate_every: int = 3  # epochs from one validation to the next; the last epoch is always validated
    gradient_clip: float = 1.0  # L2 norm over all parameters
    warmup: float = 0.05  # share of the epochs in which the learning rate rises
    final_lr: float = 0.1  # learning rate at the end, relative
    free_running: bool = True  # every second crop is spoken with the voice's own durations, F0 and energy
    weight_decay: float = 0.0
    plain: bool = False  # the plain recipe: see ``plain.py``
    without: frozenset[str] = frozenset()  # parts of the recipe that are disabled: see ``recipes.py``
    mlp: MlpConfig = field(default_factory=MlpConfig)
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError(f"epochs must be 0 or more, not {self.epochs}")
        if not 0 <= self.finish <= self.epochs:
            raise ValueError(f"finish must be a number of the {self.epochs} epochs, not {self.finish}")
        if not 0.0 < self.lr < 1.0:
            raise ValueError(f"the learning rate must lie between 0 and 1, not {self.lr}")
        for name in ("batch", "max_crops_per_epoch", "crop_frames", "max_validation_crops", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def student_epochs(self) -> int:
        """Number of the first epochs, which run on the student."""
        return self.epochs - self.finish if self.finish else 0

    def lr_factor(self, epoch: int) -> float:
        """Warm-up, then a cosine down to ``final_lr``."""
        warm = max(1.0, self.warmup * self.epochs)
        if epoch < warm:
            return min(1.0, (epoch + 1) / warm)
        progress = (epoch - warm) / max(1.0, self.epochs - warm)
        return self.final_lr + (1.0 - self.final_lr) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
