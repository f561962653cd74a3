"""StyleTTS2's two-stage schedule: which parts are frozen when, and a check of the first stage's result."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.objective import Trainee
from voiceclone.distributed import ProcessGroup
from voiceclone.errors import VoicecloneError

ACOUSTIC, PROSODIC, JOINT = "acoustic", "prosodic", "joint"
"""The stages: decoder and acoustic encoder; prosody through the frozen decoder; all together."""


class TwoStages:
    """Current stage of a run, the parts it freezes, and the loss of the first stage."""

    def __init__(self, trained: Trainee, config: TrainConfig, process_group: ProcessGroup) -> None:
        self.trained, self.config, self.process_group = trained, config, process_group
        self.first_mel: float | None = None
        self.last_mel: float | None = None

    def stage(self, progress: float) -> str:
        """The stage at a fraction of the run."""
        if progress < self.config.acoustic_share:
            return ACOUSTIC
        return PROSODIC if progress < self.config.styletts2.joint_share else JOINT

    def observe(self, mel: Tensor) -> None:
        """Update the mel distance of the first stage, given this process' part of the whole batch's, a scalar."""
        found = float(self.process_group.all_reduce(mel.detach().float()))
        self.first_mel = found if self.first_mel is None else self.first_mel
        self.last_mel = found if self.last_mel is None else 0.9 * self.last_mel + 0.1 * found

    def check(self) -> None:
        """Check that the first stage has reduced the loss.

        Raises:
            VoicecloneError: the mel distance has not fallen enough.
        """
        limit = self.config.styletts2.stage_one_fall
        if self.first_mel is None or self.last_mel is None:
            reached = "it had no step"
        elif self.last_mel > limit * self.first_mel:
            reached = f"mel distance {self.last_mel:.2f}, {self.first_mel:.2f} at its first step"
        else:
            return
        raise VoicecloneError(
            f"the second stage cannot begin: the first has not learned to speak ({reached}): raise acoustic_share or "
            "the length of the run, or start from a trained base with --init"
        )

    def apply(self, progress: float) -> None:
        """Freeze and unfreeze the parts of the model for the current stage."""
        stage, model, encoders = self.stage(progress), self.trained.model, self.trained.encoders
        speaking: list[nn.Module] = [model.decoder, encoders.acoustic, self.trained.speaker_head]
        _set(speaking, open_=stage != PROSODIC)
        text: list[nn.Module] = [model.text_encoder]
        if self.trained.aligner is not None:
            text.append(self.trained.aligner)
        _set(text, open_=stage == ACOUSTIC)

    def state(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"first_mel": self.first_mel, "last_mel": self.last_mel}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.first_mel, self.last_mel = state["first_mel"], state["last_mel"]


def _set(parts: list[nn.Module], *, open_: bool) -> None:
    """Unfreeze or freeze parts. Frozen ones are in eval mode as well, where spectral norm is not updated."""
    for part in parts:
        part.requires_grad_(open_).train(open_)
