"""``train-base --overwrite``: nothing of the earlier run is left for the new one or for ``--resume``."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import write_base

from voiceclone.base_training.run_folder import remove_run
from voiceclone.base_training.trainer import Trainer
from voiceclone.cli import main as command_line
from voiceclone.errors import VoicecloneError

OF_A_RUN = (
    "checkpoint.pt", "surrogate_encoders.safetensors", "best_model.pt", "checkpoint_20.pt",
    "enhanced_training_plots_20.png", "wandb/voiceclone-run.json", "base/config.json", "base/anna.pth",
    "base/model.safetensors", "base/codec.safetensors", "base/style_diffusion.safetensors", "base/voices/anna.pt",
    "codec/codec.json", "codec/codec.safetensors", "codec_training/checkpoint.pt", "codec_training/codec/codec.json",
)  # fmt: skip
NOT_OF_A_RUN = (
    "cache/data-000-anna/index.json", "dataset/metadata.jsonl", "rehearsal/000000.flac", "notes.txt",
    "checkpoint_mine.pt", "base/epochs_2nd_00020.pth", "base/voices/notes.txt", "wandb/run-1/logs",
)  # fmt: skip


def planted(out: Path) -> Path:
    for name in (*OF_A_RUN, *NOT_OF_A_RUN):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"older")
    return out


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_removed_and_nothing_else(tmp_path: Path) -> None:
    remove_run(planted(tmp_path))
    assert files_in(tmp_path) == set(NOT_OF_A_RUN)
    assert not (tmp_path / "codec").exists() and not (tmp_path / "codec_training").exists()
    remove_run(tmp_path / "none")


def test_an_interrupted_removal_still_counts_as_a_run(tmp_path: Path, monkeypatch) -> None:
    """The checkpoint is the last to go: without it a new run would begin among the rest."""
    monkeypatch.setattr("voiceclone.base_training.run_folder.BEST", "cache")  # a folder, which cannot be unlinked
    with pytest.raises(VoicecloneError, match=r"cannot delete .*cache: .*choose another"):
        remove_run(planted(tmp_path))
    assert (tmp_path / "checkpoint.pt").is_file()


def test_overwrite_leaves_nothing_to_resume_once_the_new_run_begins(spoken, tmp_path, monkeypatch, capsys) -> None:
    def stopped(*_: object) -> None:
        raise VoicecloneError("stopped before the first checkpoint")

    monkeypatch.setattr(Trainer, "run", stopped)
    out = planted(tmp_path / "run")
    command = ["train-base", "--preset", "tiny", "--out", str(out), "--steps", "1", "--quiet", "--data"]
    assert command_line.main([*command, str(tmp_path / "none"), "--overwrite"]) == 2
    assert files_in(out) == {*OF_A_RUN, *NOT_OF_A_RUN}  # a run that cannot begin deletes nothing
    capsys.readouterr()
    assert command_line.main([*command, str(spoken / "train"), "--overwrite"]) == 1
    assert "stopped before the first checkpoint" in capsys.readouterr().err
    assert not files_in(out) & set(OF_A_RUN) and files_in(out) >= set(NOT_OF_A_RUN)
    assert command_line.main([*command, str(spoken / "train"), "--resume"]) == 2
    assert "checkpoint.pt: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resume"], "--resume and --overwrite: choose one"),
        (["--init", "BASE"], "--init BASE: belongs to the run that --overwrite deletes"),
        (["--finetune", "BASE"], "--finetune BASE: belongs to the run"),
        (["--voice", "BASE/voices/anna.pt"], "--voice BASE/voices/anna.pt: belongs to the run"),
        (["--system", "mamba-conv", "--set", "codec=OUT/codec"], "--codec OUT/codec: belongs to the run"),
        (["--data", "BASE/clips"], "--data BASE/clips: belongs to the run"),
    ],
)
def test_overwrite_refuses_what_it_would_delete(tmp_path, capsys, flags, message) -> None:
    out = tmp_path / "run"
    write_base(out / "base")
    names = {"BASE": str(out / "base"), "OUT": str(out)}
    for short, name in names.items():
        flags, message = [flag.replace(short, name) for flag in flags], message.replace(short, name)
    before = files_in(out)
    command = ["train-base", "--data", str(tmp_path), "--out", str(out), "--steps", "1", "--quiet", "--preset", "tiny"]
    assert command_line.main([*command, "--overwrite", *flags]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert files_in(out) == before
