"""A common interface to all trackers: values are sent to each of them, and none can stop the training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from voiceclone.errors import one_line

LOST = ("the work goes on", "W&B is offline")
"""Substrings of every warning that a tracker does not log as requested."""


class Tracker(Protocol):
    """Where a run logs to.

    ``step`` counts finished training steps: values at step N describe the state after N steps; 0 is before training.
    """

    name: str
    notice: str  # one line: where to look at the run

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Log each value under its tag, such as "train/mel_mse"."""

    def audio(self, tag: str, samples: np.ndarray, step: int, sample_rate: int = 24_000) -> None:
        """Log mono audio ``(T,)``, float32 in +-1."""

    def image(self, tag: str, rgb: np.ndarray, step: int) -> None:
        """Log an image ``(H, W, 3)``, uint8."""

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Log the distribution of ``values``, any shape."""

    def config(self, config: dict[str, Any]) -> None:
        """Log the resolved configuration."""

    def artifact(self, name: str, path: Path, metadata: dict[str, Any]) -> None:
        """Attach a finished file to the run."""

    def close(self, *, failed: bool = False) -> None:
        """Write pending data; ``failed`` marks the run as not finished."""


class Trackers:
    """A set of trackers, used in a ``with`` statement.

    A tracker that raises is closed and dropped with one warning; the others and the training continue.
    """

    def __init__(self, trackers: Iterable[Tracker] = (), *, warn: Callable[[str], None] = lambda line: None) -> None:
        self._trackers = list(trackers)
        self._warn = warn

    def __len__(self) -> int:
        """Number of trackers that still work; with 0, pictures and audio need not be made."""
        return len(self._trackers)

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)

    @property
    def notices(self) -> list[str]:
        """One line for each working tracker: where to look at the run."""
        return [tracker.notice for tracker in self._trackers]

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers, or tensors of one element, under their tags."""
        plain = {tag: float(value) for tag, value in values.items()}
        self._each(lambda tracker: tracker.scalars(plain, step))

    def audio(self, tag: str, samples: np.ndarray, step: int, sample_rate: int = 24_000) -> None:
        """Log mono audio ``(T,)``, float32; clipped to +-1, NaN becomes silence."""
        clean = np.clip(np.nan_to_num(np.asarray(samples, dtype=np.float32), posinf=1.0, neginf=-1.0), -1.0, 1.0)
        self._each(lambda tracker: tracker.audio(tag, clean, step, sample_rate))

    def image(self, tag: str, rgb: np.ndarray, step: int) -> None:
        """Log an image ``(H, W, 3)``, uint8."""
        self._each(lambda tracker: tracker.image(tag, rgb, step))

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Log the distribution of the finite ones among ``values``, any shape."""
        flat = np.asarray(values, dtype=np.float64).ravel()
        finite = flat[np.isfinite(flat)]
        if finite.size:
            self._each(lambda tracker: tracker.histogram(tag, finite, step))

    def config(self, config: dict[str, Any]) -> None:
        """Log the resolved configuration."""
        self._each(lambda tracker: tracker.config(config))

    def artifact(self, name: str, path: Path, metadata: dict[str, Any]) -> None:
        """Attach a finished file to the run."""
        self._each(lambda tracker: tracker.artifact(name, path, metadata))

    def close(self, *, failed: bool = False) -> None:
        """Close all trackers; a second call does nothing."""
        self._each(lambda tracker: tracker.close(failed=failed))
        self._trackers.clear()

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                action(tracker)
            except Exception as error:  # no error of a tracker may stop the training
                self._drop(tracker, error)

    def _drop(self, tracker: Tracker, error: Exception) -> None:
        self._trackers.remove(tracker)
        self._warn(f"{tracker.name} stopped, the work goes on: {one_line(error)}")
        with contextlib.suppress(Exception):  # its failure has already been reported
            tracker.close(failed=True)


def open_trackers(
    *,
    tensorboard: bool,
    wandb: bool,
    wandb_project: str,
    run_name: str,
    folder: Path,
    config: dict[str, Any],
    offline: bool,
    resume_step: int = 0,
    warn: Callable[[str], None],
) -> Trackers:
    """Open the trackers asked for; one that cannot be opened is left out with one warning.

    Args:
        tensorboard: write TensorBoard events to ``folder / "tensorboard"``.
        wandb: log to Weights & Biases, with its files in ``folder / "wandb"``.
        wandb_project: the W&B project.
        run_name: the name of the voice, which becomes the name of the W&B run.
        folder: the output folder of the voice.
        config: the resolved configuration, logged at once.
        offline: no network, regardless of ``WANDB_MODE``.
        resume_step: steps that a resumed run has done, 0 for a new one.
        warn: called with each warning, one line.

    Raises:
        UsageError: the project name is one that W&B refuses.
    """
    openers: list[tuple[str, Callable[[], Tracker | None]]] = []
    if tensorboard:
        openers.append(("TensorBoard", lambda: _tensorboard(folder, resume_step)))
    if wandb:
        from voiceclone.tracking.wandb import check_project, open_wandb

        check_project(wandb_project)
        openers.append(
            (
                "W&B",
                lambda: open_wandb(
                    project=wandb_project,
                    run_name=run_name,
                    folder=folder,
                    offline=offline,
                    resume_step=resume_step,
                    warn=warn,
                ),
            )
        )
    opened = [tracker for name, opener in openers if (tracker := _open(name, opener, warn)) is not None]
    trackers = Trackers(opened, warn=warn)
    trackers.config(config)
    return trackers


def _tensorboard(folder: Path, resume_step: int) -> Tracker:
    from voiceclone.tracking.tensorboard import TensorBoardTracker

    return TensorBoardTracker(folder, resume_step=resume_step)


def _open(name: str, opener: Callable[[], Tracker | None], warn: Callable[[str], None]) -> Tracker | None:
    try:
        return opener()
    except ImportError as error:
        warn(f"{name} is off, the work goes on: not installed ({one_line(error)})")
    except Exception as error:
        warn(f"{name} is off, the work goes on: {one_line(error)}")
    return None
