"""TensorBoard events of a run, written to the folder ``tensorboard`` beside the voice.

``SummaryWriter`` writes from a thread: a full disk gives a traceback there, and a killed run loses the queue. The
events here are the same (torch builds them), but each one is written before the call returns.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = "tensorboard"
_FILE_VERSION = "brain.Event:2"  # the first event of every file
_serial = itertools.count()  # two runs of one process within one second need two file names


class TensorBoardTracker:
    """Writes scalars, audio, images and histograms as TensorBoard events; see ``trackers.Tracker``."""

    name = "TensorBoard"

    def __init__(self, folder: Path, *, resume_step: int = 0) -> None:
        """Open ``folder / "tensorboard"``.

        ``resume_step`` steps are already done: events of an interrupted run beyond them are purged (TensorBoard hides
        them), so that no step is shown twice. A new run (0) purges all events of older runs in this folder.

        Raises:
            OSError: the folder cannot be written to.
            ImportError: TensorBoard is not installed.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        self.folder = Path(folder) / FOLDER
        self.notice = f"TensorBoard: `tensorboard --logdir {self.folder}`"
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_serial)}"
        self._file = (self.folder / name).open("xb")
        self._records = RecordWriter(self._file)
        purge_step = resume_step + 1 if resume_step > 0 else 0
        self._write(Event(step=purge_step, file_version=_FILE_VERSION))
        self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Log each value under its tag."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        pairs = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._add(Summary(value=pairs), step)

    def audio(self, tag: str, samples: np.ndarray, step: int, sample_rate: int = 24_000) -> None:
        """Log mono audio ``(T,)`` in +-1."""
        from torch.utils.tensorboard import summary

        self._add(summary.audio(tag, samples[None, :], sample_rate), step)

    def image(self, tag: str, rgb: np.ndarray, step: int) -> None:
        """Log an image ``(H, W, 3)``, uint8."""
        from torch.utils.tensorboard import summary

        self._add(summary.image(tag, rgb, dataformats="HWC"), step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Log the distribution of ``values``, any shape."""
        from torch.utils.tensorboard import summary

        self._add(summary.histogram(tag, values, bins="auto"), step)

    def config(self, config: dict[str, Any]) -> None:
        """Log the resolved configuration as text."""
        from torch.utils.tensorboard import summary

        content = json.dumps(config, indent=2, ensure_ascii=False, default=str)
        self._add(summary.text("config", "\n".join("    " + line for line in content.splitlines())), 0)

    def artifact(self, name: str, path: Path, metadata: dict[str, Any]) -> None:
        """Do nothing: TensorBoard has no artifacts, and the voice is beside its events already."""

    def close(self, *, failed: bool = False) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, content: Any, step: int) -> None:
        self._write(self._event(step=step, summary=content))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._file.flush()
