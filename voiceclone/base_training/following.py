"""Estimated duration of the work that follows a training, which is added to the time left that is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voiceclone.base_training.config import TrainConfig

UTTERANCE_SECONDS = 2.0
"""Synthesis of an utterance of five seconds by nano, F0 tracking, speaker encoder and phone recogniser, on one core.
Larger models take longer."""
VOICE_SECONDS = 0.5
"""Style encoders on the utterances of one speaker. An assumption: it was not measured."""


@dataclass(frozen=True, kw_only=True)
class Following:
    """The work of a recipe after its training."""

    training_share: float = 0.0
    """Length of further trainings as a share of this one's."""
    voices: int = 0
    """Number of stock voices to make."""
    utterances: int = 0
    """Number of utterances to synthesise and measure."""

    def seconds(self, training_seconds: float) -> float:
        """Estimated duration in seconds, from that of the whole training."""
        return self.training_share * training_seconds + self.seconds_of_measuring()

    def seconds_of_measuring(self) -> float:
        """The same without further trainings."""
        return VOICE_SECONDS * self.voices + UTTERANCE_SECONDS * self.utterances

    def after(self, config: TrainConfig) -> Callable[[float], float]:
        """The estimate as a function of the seconds that a training step takes."""
        if config.minutes is not None:
            seconds = self.seconds(60.0 * config.minutes)
            return lambda step_seconds: seconds
        steps = config.steps or 0
        return lambda step_seconds: self.seconds(steps * step_seconds)


NOTHING = Following()
