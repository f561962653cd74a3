"""Logging of a projection training: progress, scalars, and every few epochs audio and pictures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from voiceclone.plotting.plots import figure_to_rgb, mel_figure

if TYPE_CHECKING:
    from torch import Tensor

    from voiceclone.projection.likeness import ReferenceLevels
    from voiceclone.projection.trainer import ProjectionTrainer
    from voiceclone.tracking.progress import Reporter
    from voiceclone.tracking.trackers import Trackers

MEDIA_EVERY = 10  # epochs between audio samples and pictures


class TrackingObserver:
    """Passes a training's steps and epochs to trackers and progress bar."""

    def __init__(self, trackers: Trackers, *, reporter: Reporter) -> None:
        self.trackers, self.reporter = trackers, reporter
        self.reference_levels: ReferenceLevels | None = None
        self._task: Any = None
        self._validated = ""  # the last validation loss, for the progress line
        self._target_shown = False

    @contextlib.contextmanager
    def watching(self, trainer: ProjectionTrainer, label: str, reference_levels: ReferenceLevels) -> Iterator[None]:
        """Show progress while the block runs.

        Args:
            trainer: the trainer that runs in the block.
            label: name of the task.
            reference_levels: measured on the trainer's model.
        """
        self.reference_levels = reference_levels
        done, total = trainer.state.epoch, trainer.last_epoch
        with self.reporter.task(label, total=total, unit="epoch", done=done) as task:
            self._task = task
            yield

    def step(self, step: int, values: dict[str, float]) -> None:
        """Log one optimiser step."""
        scalars = {f"train/{name}": value for name, value in values.items()}
        self.trackers.scalars({**scalars, "system/memory_mib": memory_mib()}, step)

    def epoch(self, record: dict[str, Any], trainer: ProjectionTrainer) -> None:
        """Log one epoch: its number, a validation's terms; every few epochs audio, mels, the projection's values."""
        logged = {"train/epoch": float(record["epoch"])}  # not every one is validated, and one may be many steps
        if validation := record["validation"]:
            self._validated = f", validation {validation['loss']:.3f}"
            values = {f"val/{name}": value for name, value in validation.items()}
            logged = {**self._beside_stock(validation), **values, **logged}
        self.trackers.scalars(logged, record["step"])
        if record["epoch"] % MEDIA_EVERY == 1:
            self._media(record["step"], trainer, trainer.base_vector())
        if self._task is not None:
            self._task.advance(1, note=f"loss {record['train']['loss']:.3f}{self._validated}")

    def _beside_stock(self, validation: dict[str, float]) -> dict[str, float]:
        """The clone's likeness (or loss) and the levels it has to beat, in the group that TensorBoard shows first."""
        if self.reference_levels is None or (clone := self.reference_levels.of(validation)) is None:
            return {}
        values = {"clone": clone, **self.reference_levels.levels}
        return {f"better_than_stock/{self.reference_levels.measure}_of_{name}": value for name, value in values.items()}

    def finish(self, trainer: ProjectionTrainer) -> None:
        """Log audio, mels and values of the trained voice."""
        self._media(trainer.state.step, trainer, trainer.base_vector())

    def _media(self, step: int, trainer: ProjectionTrainer, vector: Tensor) -> None:
        if not len(self.trackers):
            return
        target, spoken = (audio.cpu().numpy() for audio in trainer.speak_validation(vector))
        if not self._target_shown:
            self.trackers.audio("audio/target", target, step)
            self._target_shown = True
        self.trackers.audio("audio/clone", spoken, step)
        mels = trainer.mels(target, spoken)
        self.trackers.image("mel/target_and_clone", figure_to_rgb(mel_figure(*mels)), step)
        self.trackers.histogram("projection/base_vector", vector.numpy(), step)


def memory_mib() -> float:
    """Peak resident memory of this process in MiB (0 if the platform does not report it)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
