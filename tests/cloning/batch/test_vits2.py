"""``batch`` with a VITS2 as the base, whose voices are fitted without the projection."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import write_dataset, write_vits2

from voiceclone.base_training.vits2 import fitting
from voiceclone.cli.clone import clone_by_system
from voiceclone.cli.main import main
from voiceclone.cloning.batch.cluster import ClusterRunner, clone_one, portable
from voiceclone.cloning.batch.local import LocalRunner
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder


@pytest.fixture(autouse=True)
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step for each voice, in this process."""

    def clone(self: LocalRunner, config: CloneConfig, gpu: str | None) -> tuple[int, str]:
        call = ["--data", config.data, "--name", config.name, "--base", config.base, "--out", config.out]
        return main(["clone", *call, "--seed", str(config.seed), "--resume", "--offline", "--quiet"]), ""

    monkeypatch.setattr(fitting, "VectorFitConfig", partial(fitting.VectorFitConfig, steps=1, clips_a_step=1))
    monkeypatch.setattr(LocalRunner, "_clone", clone)


@pytest.fixture
def config(tmp_path: Path) -> CloneConfig:
    data, base = write_dataset(tmp_path / "data", seconds=2.0), write_vits2(tmp_path / "vits")
    return CloneConfig(data=str(data), name="dora", out=str(tmp_path / "out"), base=str(base), offline=True)


def test_a_fitted_voice_is_finished_and_kept_the_second_time(config: CloneConfig, tmp_path: Path, capsys) -> None:
    table = tmp_path / "voices.csv"
    table.write_text(f"name,data\ndora,{config.data}\n")
    command = ["batch", str(table), "--base", config.base, "--out", config.out, "--offline", "--json"]
    assert main(command) == 0
    (voice,) = json.loads(capsys.readouterr().out)["voices"]
    assert voice["status"] == "finished" and not voice["error"] and not voice["stock_kokoro"]
    assert voice["minutes"] > 0 and voice["seconds"] > 0 and " held-out clip" in voice["verdict"]
    assert "| dora | finished | " in (report := (tmp_path / "out" / "batch_report.md").read_text())
    assert "None" not in report

    assert main([*command, "--epochs-projection", "7"]) == 0, "a fit has no epochs"
    assert json.loads(capsys.readouterr().out)["voices"][0]["kept"]
    assert main([*command, "--seed", "1"]) == 1
    assert "other settings (seed)" in capsys.readouterr().err


def test_a_worker_of_a_cluster_fits_it_and_a_retried_one_keeps_it(config: CloneConfig) -> None:
    given = portable(config)
    assert clone_one(given, clone_by_system)[0] == ""
    made = RunFolder(config.folder).voice.stat().st_mtime_ns
    assert clone_one(given, clone_by_system)[0] == "" and RunFolder(config.folder).voice.stat().st_mtime_ns == made
    assert "is a VITS2" in clone_one({**given, "name": "ella"})[0], "only the command line knows both systems"


class RayHere:
    """Ray's interface as far as a batch uses it: a task runs at once, in this process."""

    exceptions = SimpleNamespace(RayError=RuntimeError, RayTaskError=RuntimeError)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def remote(self, **_: Any) -> Callable[[Callable[..., Any]], Any]:
        return lambda function: SimpleNamespace(remote=lambda *given: Result(function(*given)))

    def wait(self, waiting: list[Result], num_returns: int) -> tuple[list[Result], list[Result]]:
        return waiting[:num_returns], waiting[num_returns:]

    def get(self, result: Result) -> Any:
        return result.value


@dataclass(frozen=True, eq=False)
class Result:
    value: Any


def test_the_command_fits_it_on_a_cluster(
    config: CloneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    table = tmp_path / "voices.csv"
    table.write_text(f"name,data\ndora,{config.data}\n")
    monkeypatch.setattr(ClusterRunner, "clones", lambda self, rows: self._run(RayHere(), rows))
    command = ["batch", str(table), "--base", config.base, "--out", config.out, "--address", "auto", "--offline"]
    assert main([*command, "--quiet"]) == 0, capsys.readouterr().err
    assert RunFolder(config.folder).is_finished()
