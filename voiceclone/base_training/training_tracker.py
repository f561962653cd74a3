"""Logging of a base training: progress, loss terms, and at every checkpoint a synthesised validation utterance."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from voiceclone.audio.features import LogMel
from voiceclone.plotting.plots import figure_to_rgb, matrix_figure, mel_figure
from voiceclone.tracking.progress import QUIET, SHOWN, Reporter
from voiceclone.tracking.trackers import Trackers

if TYPE_CHECKING:
    from voiceclone.base_training.trainer import Trainer

logger = logging.getLogger(__name__)


class TrainingTracker:
    """Sends a training's metrics, audio and mels to trackers, and its progress to a reporter.

    Args:
        trackers: none by default.
        reporter: by default one that writes warnings only.
    """

    def __init__(self, trackers: Trackers | None = None, reporter: Reporter | None = None) -> None:
        self.trackers = Trackers() if trackers is None else trackers
        self.reporter = reporter or Reporter(verbosity=QUIET)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Log loss terms and learning rate."""
        logger.info("step %d: %s", step, " ".join(f"{n} {v:.4g}" for n, v in sorted(values.items())), extra=SHOWN)
        self.trackers.scalars({f"train/{name}": value for name, value in values.items()}, step)

    def checkpoint(self, trainer: Trainer) -> None:
        """Log one validation utterance by the averaged model, with predicted prosody, and its recording."""
        preview = trainer.system.preview() if len(self.trackers) else None
        if preview is None:
            return
        _, recording, spoken = preview
        self.trackers.audio("audio/recording", recording, trainer.step)
        self.trackers.audio("audio/spoken", spoken, trainer.step)
        mels = [LogMel()(torch.from_numpy(audio)[None])[0].numpy() for audio in (recording, spoken)]
        self.trackers.image("mel/recording_and_spoken", figure_to_rgb(mel_figure(*mels)), trainer.step)
        for tag, matrix in trainer.system.pictures().items():
            self.trackers.image(tag, figure_to_rgb(matrix_figure(matrix)), trainer.step)
