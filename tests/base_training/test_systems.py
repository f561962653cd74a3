"""Systems by name: each has its own settings, and unknown ones are rejected with one line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import pytest
import torch

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.systems import Recipe, SystemSettings, find_recipe
from voiceclone.cli.main import main
from voiceclone.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings(SystemSettings):
    width: int = 3
    share: float = 0.5
    noisy: bool = True
    rates: tuple[int, ...] = (8, 8)


def test_settings_survive_json_and_refuse_what_they_do_not_know() -> None:
    changed = Settings(width=4, rates=(2, 3))
    assert Settings.from_json(json.loads(json.dumps(asdict(changed)))) == changed
    assert Settings.from_json({"share": 1}) == Settings(share=1)
    for values, message in (
        ({"widht": 4}, "unknown settings of the system: widht"),
        ({"width": "4"}, "width is '4'"),
        ({"width": 4.5}, "width is 4.5"),
        ({"noisy": 1}, "noisy is 1"),
        ({"width": True}, "width is True"),
        ({"rates": 8}, "rates is 8"),
    ):
        with pytest.raises(ValueError, match=message):
            Settings.from_json(values)


def test_a_recipe_without_settings_refuses_them() -> None:
    recipe = Recipe(train_and_pack=print)
    assert recipe.read_settings(None) is None and recipe.read_settings({}) is None
    with pytest.raises(ValueError, match="no settings of its own: leave out width"):
        recipe.read_settings({"width": 4})
    with pytest.raises(UsageError, match="system tacotron: use one of"):
        TrainConfig.from_json({**TrainConfig(steps=1).to_json(), "system": "tacotron"})


def test_the_default_system_is_the_one_of_older_runs() -> None:
    older = {name: value for name, value in TrainConfig(steps=1).to_json().items() if not name.startswith("system")}
    assert TrainConfig.from_json(older) == TrainConfig(steps=1)
    assert find_recipe("styletts2").takes >= {"voices", "kept_out"}


def test_wrong_calls_are_refused_in_one_line(spoken, tmp_path, capsys) -> None:
    command = ["train-base", "--data", str(spoken / "train"), "--out", str(tmp_path), "--steps", "1", "--quiet"]
    for extra, message in (
        (["--system", "tacotron"], "--system tacotron: use one of"),
        (["--set", "flow"], "--set 'flow': give NAME=VALUE"),
        (["--set", "flow=fft"], "unknown settings of the system: flow"),
    ):
        assert main([*command, *extra]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and len(error.splitlines()) == 1
    teacher = ["train-base", "--teacher", str(tmp_path), "--out", str(tmp_path), "--steps", "1"]
    assert main([*teacher, "--system", "tacotron"]) == 2


def test_a_run_of_another_system_is_not_resumed(tmp_path, spoken, capsys) -> None:
    config = {**TrainConfig(steps=1).to_json(), "system": "other"}
    torch.save({"format": 3, "config": config, "step": 1}, tmp_path / "checkpoint.pt")
    command = ["train-base", "--data", str(spoken / "train"), "--out", str(tmp_path), "--quiet"]
    for flags in (["--steps", "2", "--resume"], ["--pack-only"]):
        assert main([*command, *flags]) == 2
        assert "is a run of --system other: give that, or another --out" in capsys.readouterr().err
