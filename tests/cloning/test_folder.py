"""The files of a run when another voice takes the place of its voice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import VoicecloneError
from voiceclone.voice.card import CardInfo, render_card
from voiceclone.voice.expressive import deviations_beside
from voiceclone.voice.pack import VoicePack

NEW = VoicePack(torch.ones(510, 1, 256), "v")


def finished(path: Path) -> RunFolder:
    """The folder of a clone that was evaluated, with empty files where their content does not matter."""
    folder = RunFolder(path)
    card = CardInfo(name="v", base_name="b", base_kind="custom", clips=1, minutes=1.0, seed=0)
    (path / "artifacts").mkdir(parents=True)
    VoicePack(torch.zeros(510, 1, 256), "v").save(folder.voice)
    folder.report.write_text(json.dumps({"name": "v"}))
    folder.config.write_text(json.dumps({**CloneConfig(data="d").as_dict(), "versions": {}}))
    (path / "README.md").write_text(render_card(card))
    (path / "evaluation.json").write_text(json.dumps({"verdict": {}}))
    for name in ("evaluation.html", "training.png", "dataset_report.json", "v_artifacts.pt", "notes.txt", "v_old.pt"):
        (path / name).touch()
    for file in (folder.candidates, deviations_beside(folder.voice), *map(folder.test_wav, (1, 2, 3))):
        file.touch()
    return folder


def files_in(folder: RunFolder) -> set[str]:
    return {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}


def test_a_new_voice_takes_the_place_of_all_that_describes_the_old_one(tmp_path: Path) -> None:
    folder = finished(tmp_path / "v")
    folder.put_voice(NEW)
    assert torch.equal(VoicePack.load(folder.voice).tensor, NEW.tensor)
    assert files_in(folder) == {"v.pt", "config.json", "dataset_report.json", "notes.txt", "v_old.pt"}
    folder.clear()
    assert files_in(folder) == {"v.pt", "notes.txt", "v_old.pt"}


def test_a_voice_that_cannot_be_written_leaves_the_old_one_whole(tmp_path: Path, monkeypatch) -> None:
    folder = finished(tmp_path / "v")
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}

    def full(self: VoicePack, path: Path) -> None:
        raise VoicecloneError("No space left on device")

    monkeypatch.setattr(VoicePack, "save", full)
    with pytest.raises(VoicecloneError, match="No space left"):
        folder.put_voice(NEW)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_files_of_the_users_own_are_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "v")
    folder.path.mkdir()
    own = {"README.md": "# My project", "config.json": '{"data": "mine"}', "evaluation.json": "{}", "training.png": "x",
           "evaluation.html": "<p>"}  # fmt: skip
    for name, content in own.items():
        (folder.path / name).write_text(content)
    folder.put_voice(NEW)
    folder.clear()
    assert files_in(folder) == {"v.pt", *own}
