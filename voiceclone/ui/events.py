"""Read the progress of a running training from its TensorBoard event files."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CURVES = {"train/loss": "training", "val/loss": "validation"}
EPOCH = "train/epoch"
MEL, CLONE, TARGET = "mel/target_and_clone", "audio/clone", "audio/target"


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """Losses, mels and audio of a training at one moment."""

    losses: tuple[tuple[int, float, str], ...] = ()  # (step, loss, "training" or "validation")
    mel: np.ndarray | None = field(default=None, repr=False)  # (H, W, 3) uint8: target and clone
    target: tuple[int, np.ndarray] | None = field(default=None, repr=False)  # (Hz, int16 (T,))
    clone: tuple[int, np.ndarray] | None = field(default=None, repr=False)
    clone_step: int = 0  # the training step of the clone's audio
    epochs: int = 0  # number of finished epochs, those before a resume included


class EventReader:
    """Reads a run's ``tensorboard`` folder repeatedly and parses only what is new.

    Args:
        folder: the run's folder.
        since: seconds since the epoch; older events belong to an earlier run and are ignored.
    """

    def __init__(self, folder: Path, *, since: float = 0.0) -> None:
        self._folder, self._since = Path(folder) / "tensorboard", since
        self._accumulator: Any = None

    def read(self) -> Snapshot:
        """The latest state; empty as long as there are no events."""
        if self._accumulator is None:
            if not self._folder.is_dir():
                return Snapshot()
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

            self._accumulator = EventAccumulator(
                str(self._folder), size_guidance={"scalars": 0, "images": 1, "audio": 1}
            )
        self._accumulator.Reload()
        tags = self._accumulator.Tags()
        losses = [
            (event.step, event.value, name)
            for tag, name in CURVES.items()
            if tag in tags["scalars"]
            for event in self._accumulator.Scalars(tag)
            if event.wall_time >= self._since and math.isfinite(event.value)
        ]
        epoch = self._last(self._accumulator.Scalars, EPOCH, tags["scalars"])
        mel = self._last(self._accumulator.Images, MEL, tags["images"])
        clone = self._last(self._accumulator.Audio, CLONE, tags["audio"])
        target = self._last(self._accumulator.Audio, TARGET, tags["audio"])
        return Snapshot(
            losses=tuple(losses),
            mel=None if mel is None else _picture(mel.encoded_image_string),
            target=None if target is None else _sound(target.encoded_audio_string),
            clone=None if clone is None else _sound(clone.encoded_audio_string),
            clone_step=0 if clone is None else clone.step,
            epochs=0 if epoch is None else round(epoch.value),
        )

    def _last(self, events_of: Any, tag: str, known: list[str]) -> Any:
        """The newest event of a tag; None where there is none."""
        events = [event for event in events_of(tag) if event.wall_time >= self._since] if tag in known else []
        return events[-1] if events else None


def _picture(encoded: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def _sound(encoded: bytes) -> tuple[int, np.ndarray]:
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(encoded), dtype="int16")
    return rate, samples
