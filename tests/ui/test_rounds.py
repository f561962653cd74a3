"""The number of finished rounds on the page, also of a resumed run, and the time left that follows from it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import REPOSITORY

from voiceclone.cloning.folder import RunFolder
from voiceclone.tracking.observer import TrackingObserver
from voiceclone.tracking.progress import Reporter
from voiceclone.tracking.tensorboard import TensorBoardTracker
from voiceclone.tracking.trackers import Trackers
from voiceclone.ui import job
from voiceclone.ui.events import EventReader
from voiceclone.ui.progress import RESUMED, Gauge


def train(folder: Path, epochs: range, *, steps: int = 2) -> None:
    """Log epochs as a training does: several steps each, with a validation of every third one."""
    tracker = TensorBoardTracker(folder, resume_step=epochs.start * steps)
    with Trackers([tracker]) as trackers:
        observer = TrackingObserver(trackers, reporter=Reporter(verbosity=-1))
        observer._media = lambda *arguments: None
        trainer: Any = SimpleNamespace(base_vector=lambda: None)
        for epoch in epochs:
            for step in range(steps):
                observer.step(epoch * steps + step + 1, {"loss": 1.0})
            validation = {"loss": 1.0} if epoch % 3 == 0 else {}
            record = {"epoch": epoch + 1, "step": (epoch + 1) * steps, "train": {"loss": 1.0}, "validation": validation}
            observer.epoch(record, trainer)


def test_rounds_are_counted_that_were_not_validated(tmp_path: Path) -> None:
    reader = EventReader(tmp_path)
    assert reader.read().epochs == 0
    train(tmp_path, range(13))
    assert reader.read().epochs == 13


def test_a_resumed_run_counts_on_from_its_checkpoint(tmp_path: Path) -> None:
    train(tmp_path, range(13))
    train(tmp_path, range(11, 12))  # the checkpoint was that of epoch 11: two epochs are trained again
    assert EventReader(tmp_path).read().epochs == 12
    train(tmp_path, range(12, 15))
    assert EventReader(tmp_path).read().epochs == 15


def test_a_stopped_run_names_the_round_of_its_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round may have been logged and not yet written."""
    folder = RunFolder(tmp_path / "anna")
    folder.last_checkpoint.parent.mkdir(parents=True)
    folder.last_checkpoint.touch()
    monkeypatch.setattr(job, "load_checkpoint", lambda path: (SimpleNamespace(epoch=12), {}))
    assert "Stopped after round 12." in job._stopped_line(13, folder)


def test_the_checks_of_a_resumed_run_do_not_count_as_time_of_its_next_round() -> None:
    now = [0.0]
    gauge = Gauge(clips=10, epochs=30, resumed=True, clock=lambda: now[0])
    lines = ["Checking clips: 10/10 clips in 60 s (6 s/clip)"]
    assert gauge.read("", lines, 13).doing == "Listening to your voice"
    now[0] = 60.0
    lines.append(f"{RESUMED}13 of 30")
    assert "round 13 of at most 30" in gauge.read("", lines, 13).doing
    now[0] = 70.0  # ten seconds for a round
    left = gauge.read("", lines, 14).seconds_left
    fresh = Gauge(clips=10, epochs=30, clock=lambda: now[0])
    fresh.read("", [], 13)
    now[0] = 80.0
    assert left == pytest.approx(fresh.read("", [], 14).seconds_left) and 160.0 < left < 300.0


def test_the_line_of_a_resumed_run_is_the_one_that_the_page_waits_for() -> None:
    assert f'f"{RESUMED}{{' in (REPOSITORY / "voiceclone" / "cloning" / "pipeline.py").read_text(encoding="utf-8")
