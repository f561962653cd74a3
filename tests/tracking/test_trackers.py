"""The container sends everything to every tracker, and no tracker can stop the training."""

import sys

import numpy as np
import pytest
import torch

from voiceclone.errors import UsageError
from voiceclone.tracking.trackers import Trackers, open_trackers


class Recorder:
    """Records its calls; raises on those in ``broken``."""

    name = "Recorder"
    notice = "nowhere to look"

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.calls: list[tuple] = []

    def __getattr__(self, method: str):
        def call(*arguments, **options):
            self.calls.append((method, *arguments, *options.values()))
            if method in self.broken:
                raise RuntimeError(f"{method} broke\nin two lines")

        return call


def test_all_calls_reach_all_trackers(tmp_path):
    both = Recorder(), Recorder()
    with Trackers(both) as trackers:
        trackers.config({"seed": 1})
        trackers.scalars({"train/loss": torch.tensor(0.5), "val/loss": 1}, 3)
        trackers.artifact("v", tmp_path, {"base": "nano"})
        assert trackers.notices == ["nowhere to look"] * 2
    for recorder in both:
        assert recorder.calls == [
            ("config", {"seed": 1}),
            ("scalars", {"train/loss": 0.5, "val/loss": 1.0}, 3),
            ("artifact", "v", tmp_path, {"base": "nano"}),
            ("close", False),
        ]


def test_media_are_sanitised_first():
    recorder = Recorder()
    with Trackers([recorder]) as trackers:
        trackers.audio("a", np.array([0.5, np.nan, np.inf, -3.0]), 1)
        trackers.image("i", np.zeros((2, 2, 3), np.uint8), 1)
        trackers.histogram("h", np.array([[1.0, np.nan], [np.inf, 2.0]]), 1)
        trackers.histogram("empty", np.array([np.nan]), 1)
    audio, image, histogram, _ = recorder.calls
    assert audio[2].dtype == np.float32 and audio[2].tolist() == [0.5, 0.0, 1.0, -1.0] and audio[3:] == (1, 24_000)
    assert image[:2] == ("image", "i")
    assert histogram[2].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("call", ["scalars", "audio", "image", "histogram", "config", "artifact"])
def test_a_failing_tracker_is_dropped_with_one_warning(call, tmp_path):
    bad, good, lines = Recorder(call, "close"), Recorder(), []
    with Trackers([bad, good], warn=lines.append) as trackers:
        for step in range(3):
            trackers.config({})
            trackers.scalars({"a": 1.0}, step)
            trackers.audio("a", np.zeros(2), step)
            trackers.image("a", np.zeros((1, 1, 3), np.uint8), step)
            trackers.histogram("a", np.zeros(2), step)
            trackers.artifact("a", tmp_path, {})
        assert len(trackers) == 1
    assert lines == [f"Recorder stopped, the work goes on: {call} broke"]
    assert [made[0] for made in bad.calls].count(call) == 1
    assert bad.calls[-1] == ("close", True)
    assert [made[0] for made in good.calls].count(call) == 3


def test_a_tracker_that_fails_to_close_is_reported_and_the_next_one_closed():
    bad, good, lines = Recorder("close"), Recorder(), []
    trackers = Trackers([bad, good], warn=lines.append)
    trackers.close()
    trackers.close()
    assert lines == ["Recorder stopped, the work goes on: close broke"]
    assert good.calls == [("close", False)]


def test_failure_and_interruption_are_passed_on():
    for error in (ValueError, KeyboardInterrupt):
        recorder = Recorder()
        with pytest.raises(error), Trackers([recorder]):
            raise error
        assert recorder.calls == [("close", True)]


def test_interruptions_inside_a_tracker_are_not_swallowed():
    class Interrupted(Recorder):
        def scalars(self, values, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trackers([Interrupted()]).scalars({}, 1)


def open_(tmp_path, lines, **changes):
    plain = {
        "tensorboard": False,
        "wandb": False,
        "wandb_project": "p",
        "run_name": "v",
        "folder": tmp_path,
        "config": {},
        "offline": True,
        "warn": lines.append,
    }
    return open_trackers(**(plain | changes))


def test_none_asked_for_writes_nothing(tmp_path):
    lines: list[str] = []
    with open_(tmp_path, lines) as trackers:
        trackers.scalars({"a": 1.0}, 1)
    assert len(trackers) == 0 and not lines and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("flag", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb")])
def test_a_missing_package_costs_one_warning(flag, module, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name == module or name.startswith(module + ".")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    lines: list[str] = []
    with open_(tmp_path, lines, **{flag: True}) as trackers:
        assert len(trackers) == 0
    assert len(lines) == 1 and "is off, the work goes on: not installed" in lines[0]


@pytest.mark.parametrize("project", ["a/b", "50%", "", " ", "x" * 129, "a\nb"])
def test_a_project_name_that_the_server_refuses_is_refused_at_once(project, tmp_path):
    with pytest.raises(UsageError, match="wandb_project="):
        open_(tmp_path, [], wandb=True, wandb_project=project)
