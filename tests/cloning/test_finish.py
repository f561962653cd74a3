"""Clones that are trained on the student first and finished on the base; the number of epochs by base."""

from __future__ import annotations

import gc
import io
import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support import QUICK

from voiceclone.bases.stock_names import KOKORO, NANO
from voiceclone.cloning import pipeline
from voiceclone.cloning.api import CloneResult, clone
from voiceclone.cloning.batch.run import other_settings
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError
from voiceclone.evaluation.voices import read_candidates
from voiceclone.projection import preparation
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.trainer import ProjectionTrainer
from voiceclone.tracking.progress import Reporter

pytestmark = pytest.mark.usefixtures("quick_clones", "nano")
EPOCHS, FINISH = 2, 2


def run(dataset: Path, base: Path, out: Path, **changes: Any) -> CloneResult:
    settings = {"epochs_projection": EPOCHS, "finish": FINISH, "without": f"{QUICK},phones", "device": "cpu",
                "offline": True, **changes}  # fmt: skip
    return clone(dataset, "v", out=out, base=base, **settings)


def state_of(result: CloneResult) -> dict[str, Any]:
    return torch.load(result.folder / "checkpoints" / "last.pt", weights_only=True)["state"]


def test_both_parts_run_and_are_reported(
    tmp_path: Path, dataset_folder: Path, with_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The student is loaded once and freed before the base trains, and the clips are measured and aligned once."""
    loaded: list[weakref.ref] = []
    trained: list[tuple[int, bool, bool]] = []  # epoch, whether on the student, whether that is in memory
    called = {"clips": 0, "alignments": 0}
    load, train_epoch = pipeline.load_base, ProjectionTrainer._train_epoch
    prepare, align = preparation.prepare_target, preparation.align_all

    def load_base(*given: Any, **more: Any) -> Any:
        base = load(*given, **more)
        loaded.append(weakref.ref(base.kmodel))
        return base

    def one_epoch(self: ProjectionTrainer, epoch: int, observer: Any) -> Any:
        gc.collect()
        trained.append((epoch, self.on_student, loaded[0]() is not None))
        assert (self.kokoro.kmodel is loaded[0]()) is self.on_student
        return train_epoch(self, epoch, observer)

    def counted(name: str, function: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            called[name] += 1
            return function(*given, **more)

        return call

    monkeypatch.setattr(pipeline, "load_base", load_base)
    monkeypatch.setattr(ProjectionTrainer, "_train_epoch", one_epoch)
    monkeypatch.setattr(preparation, "prepare_target", counted("clips", prepare))
    monkeypatch.setattr(preparation, "align_all", counted("alignments", align))
    lines = io.StringIO()
    result = run(dataset_folder, with_student, tmp_path, reporter=Reporter(stream=lines))
    assert len(loaded) == 1 and called == {"clips": 4, "alignments": 3}
    assert trained == [(0, True, True), (1, True, True), (2, False, False), (3, False, False)]
    assert "Projection on nano: 2/2 epochs" in lines.getvalue() and "Projection: 4/4 epochs" in lines.getvalue()

    report, config = result.report, json.loads((result.folder / "config.json").read_text())
    assert report["epochs"] == 4 and report["epochs_on"] == {"student": EPOCHS, "base": FINISH}
    assert (config["epochs_projection"], config["finish"]) == (EPOCHS, FINISH)
    assert "| epochs | 2 on nano, then 2 on tiny |" in (result.folder / "README.md").read_text()
    history = state_of(result)["history"]
    planned = ProjectionConfig(epochs=EPOCHS + FINISH)
    assert [row["lr"] for row in history] == pytest.approx([1e-3 * planned.lr_factor(epoch) for epoch in range(4)])
    kept = load_file(result.folder / "artifacts" / "candidates.safetensors")["student"]
    assert kept.shape == (510, 1, 256) and "student" in read_candidates(result.folder / "v.pt")


@pytest.fixture(scope="module")
def made() -> dict[str, CloneResult]:
    return {}


@pytest.fixture
def whole(
    made: dict[str, CloneResult], tmp_path_factory: pytest.TempPathFactory, dataset_folder: Path, with_student: Path
) -> CloneResult:
    """The uninterrupted run, made once."""
    if not made:
        made["run"] = run(dataset_folder, with_student, tmp_path_factory.mktemp("whole"))
    return made["run"]


@pytest.mark.parametrize("stopped", [pytest.param(1, marks=pytest.mark.slow), EPOCHS, EPOCHS + 1])
def test_a_run_stopped_in_either_part_or_between_resumes_to_the_same_voice(
    stopped: int,
    whole: CloneResult,
    tmp_path: Path,
    dataset_folder: Path,
    with_student: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if stopped == EPOCHS:  # after the student's last checkpoint, before the base's first
            patch.setattr(pipeline, "begin_on_base", interrupted)
        else:
            train_epoch = ProjectionTrainer._train_epoch
            patch.setattr(
                ProjectionTrainer, "_train_epoch",
                lambda self, epoch, observer: interrupted() if epoch == stopped else train_epoch(self, epoch, observer),
            )  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            run(dataset_folder, with_student, tmp_path)
    assert torch.load(tmp_path / "v" / "checkpoints" / "last.pt", weights_only=True)["state"]["epoch"] == stopped
    lines = io.StringIO()
    result = run(dataset_folder, with_student, tmp_path, resume="auto", reporter=Reporter(stream=lines))
    said = f"resuming after epoch {stopped} of {EPOCHS + FINISH}"
    assert f"{said}{' on nano' if stopped < EPOCHS else ''}\n" in lines.getvalue()
    assert torch.equal(result.voice.tensor, whole.voice.tensor)
    assert result.report["epochs_on"] == whole.report["epochs_on"]
    here, there = (load_file(made.folder / "artifacts" / "candidates.safetensors") for made in (result, whole))
    assert torch.equal(here["student"], there["student"])


def test_the_first_part_is_what_the_base_continues(
    whole: CloneResult, tmp_path: Path, dataset_folder: Path, with_student: Path
) -> None:
    """The same number of epochs on the base alone gives another voice; no epoch on the student gives the same one."""
    alone = run(
        dataset_folder,
        with_student,
        tmp_path / "alone",
        epochs_projection=EPOCHS + FINISH,
        finish=0,
        lr_projection=1e-3,
    )
    none = run(dataset_folder, with_student, tmp_path / "none", epochs_projection=0, finish=EPOCHS + FINISH)
    assert not torch.equal(whole.voice.tensor, alone.voice.tensor)
    assert torch.equal(none.voice.tensor, alone.voice.tensor)
    assert alone.report["epochs_on"] == none.report["epochs_on"] == {"student": 0, "base": EPOCHS + FINISH}


def test_a_base_without_a_student_is_refused_before_the_clips_are_read(
    tmp_path: Path, dataset_folder: Path, base_folder: Path
) -> None:
    for base, title in ((base_folder, "tiny"), (NANO, NANO)):
        with pytest.raises(UsageError, match=f'finish=2: {title} has no student: use `base="kokoro"`, or leave out'):
            run(dataset_folder, base, tmp_path)
    for wrong in ({"recipe": "plain"}, {"without": "student"}):
        with pytest.raises(UsageError, match="finish=2: .* trains without a student"):
            run(dataset_folder, base_folder, tmp_path, **wrong)
    assert not any(tmp_path.iterdir())


def test_epochs_and_learning_rate_depend_on_the_base_where_none_are_given() -> None:
    def schedule(kind: str, **given: Any) -> tuple[int | None, int, float | None]:
        config = CloneConfig(data="", **given).for_base(kind)
        return config.epochs_projection, config.epochs, config.lr_projection

    assert schedule(KOKORO) == (30, 30, 2e-3)
    assert schedule(NANO) == schedule("custom") == (30, 30, 4e-3)
    assert schedule(KOKORO, finish=40) == (80, 120, 1e-3)
    assert schedule(KOKORO, recipe="plain") == (60, 60, 1e-3) and schedule(NANO, recipe="plain") == (100, 100, 1e-3)
    assert schedule(KOKORO, epochs_projection=7, finish=3, lr_projection=5e-3) == (7, 10, 5e-3)


def test_a_finished_voice_has_the_settings_of_a_table_that_leaves_the_epochs_to_the_base(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "v")
    config = CloneConfig(data=str(tmp_path), name="v", out=str(tmp_path), base=KOKORO)

    def found(made: dict[str, Any], kind: str = KOKORO) -> str:
        folder.path.mkdir(exist_ok=True)
        (folder.path / "config.json").write_text(json.dumps({**config.as_dict(), **made}))
        folder.report.write_text(json.dumps({"base": {"kind": kind}}))
        return other_settings(config, folder)

    on_kokoro = {"epochs_projection": 30, "lr_projection": 2e-3}
    assert found(on_kokoro) == ""
    assert found({"epochs_projection": 30, "lr_projection": 4e-3}, "custom") == ""
    assert "(epochs_projection)" in found({**on_kokoro, "epochs_projection": 100})
    assert "(lr_projection)" in found({**on_kokoro, "lr_projection": 4e-3})
    assert "(finish)" in found({**on_kokoro, "finish": 40})
    earlier = {**config.as_dict(), **on_kokoro}
    del earlier["finish"]
    (folder.path / "config.json").write_text(json.dumps(earlier))
    assert other_settings(config, folder) == ""
