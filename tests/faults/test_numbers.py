"""Non-finite values never reach a voice: steps are skipped and counted, then the run stops at a valid state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from voiceclone.cloning import outputs as products
from voiceclone.projection import losses
from voiceclone.projection.state import load_checkpoint
from voiceclone.projection.trainer import MAX_BAD_STEPS, ProjectionTrainer
from voiceclone.voice.health import HealthRange
from voiceclone.voice.pack import VoicePack

Run = Callable[..., int]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


def test_weights_that_break_in_the_last_step_of_an_epoch_are_not_saved(
    run: Run, whole: bytes, tmp_path: Path, capsys, monkeypatch
) -> None:
    """Neither loss nor gradient shows them before the next epoch. The checkpoint is kept and gives the same voice."""
    train_epoch = ProjectionTrainer._train_epoch

    def break_after(self, epoch, observer):
        terms = train_epoch(self, epoch, observer)
        if epoch == 1:
            self.optimizer.param_groups[0]["params"][0].data[0, 0] = torch.nan
        return terms

    with monkeypatch.context() as patch:
        patch.setattr(ProjectionTrainer, "_train_epoch", break_after)
        assert run(tmp_path) == 1
    assert "weights are not finite (epoch 2)" in last_line(capsys)
    state, _ = load_checkpoint(tmp_path / "v" / "checkpoints" / "last.pt")
    assert state.epoch == 1 and not (tmp_path / "v" / "v.pt").exists()
    assert run(tmp_path, "--resume") == 0
    assert (tmp_path / "v" / "v.pt").read_bytes() == whole


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_bad_step_is_skipped_and_counted(what: str, run: Run, tmp_path: Path, monkeypatch) -> None:
    """One of a whole run, be it the only one of its epoch."""
    total, count = losses.total, 0

    def total_with_one_bad(terms, weights):
        nonlocal count
        value = total(terms, weights)
        if not value.requires_grad:
            return value
        count += 1
        if count != 2:
            return value
        # The second is 0, and its gradient 0 x infinity.
        return value * torch.nan if what == "loss" else value + 0.0 * torch.sqrt(value - value.detach())

    monkeypatch.setattr(losses, "total", total_with_one_bad)
    assert run(tmp_path) == 0
    report = json.loads((tmp_path / "v" / "report.json").read_text())
    assert report["skipped_steps"] == 1 and report["epochs"] == 2
    assert torch.isfinite(VoicePack.load(tmp_path / "v" / "v.pt").tensor).all()


def test_steps_that_stay_bad_stop_the_run_at_the_last_good_state(run: Run, tmp_path: Path, capsys, monkeypatch) -> None:
    total, count = losses.total, 0

    def total_that_goes_bad(terms, weights):
        nonlocal count
        count += terms["mel"].requires_grad
        return total(terms, weights) * (torch.nan if count > 1 else 1.0)

    monkeypatch.setattr(losses, "total", total_that_goes_bad)
    assert run(tmp_path) == 1
    assert "the loss is not finite (epoch 2)" in last_line(capsys) and count == 1 + MAX_BAD_STEPS
    state, _ = load_checkpoint(tmp_path / "v" / "checkpoints" / "last.pt")
    assert state.epoch == 1 and not (tmp_path / "v" / "v.pt").exists()
    assert all(torch.isfinite(value).all() for value in state.projection.values())


def test_figures_that_are_not_finite_stop_the_run_before_the_voice(
    run: Run, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(products, "prosody_errors", lambda *_: {"f0_error_semitones": float("nan")})
    assert run(tmp_path, "--epochs-projection", "0") == 1
    assert "f0_error_semitones of the voice is not finite" in last_line(capsys)
    assert not (tmp_path / "v" / "v.pt").exists() and not (tmp_path / "v" / "report.json").exists()


def test_an_unusual_voice_is_reported_everywhere(run: Run, tmp_path: Path, capsys, monkeypatch) -> None:
    from dataclasses import replace

    official = HealthRange.official()
    narrow = {name: (1e-6, 2e-6) for name, value in vars(official).items() if isinstance(value, tuple)}
    monkeypatch.setattr(HealthRange, "of", classmethod(lambda cls, voices: replace(official, **narrow)))
    assert run(tmp_path, "--epochs-projection", "0") == 0
    assert "warning: the voice looks unusual: " in capsys.readouterr().err
    report = json.loads((tmp_path / "v" / "report.json").read_text())
    assert report["health"]["healthy"] is False and report["health"]["reasons"]
    assert "| health | within the range" not in (tmp_path / "v" / "README.md").read_text()
