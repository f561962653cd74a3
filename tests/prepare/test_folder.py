"""The output folder of ``prepare``: an interrupted removal of an earlier dataset goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voiceclone.errors import UsageError
from voiceclone.prepare.folder import MADE_BY, PrepareFolder

IDENTITY = {"recordings": "a", "settings": "b"}


@pytest.fixture
def finished(tmp_path: Path) -> PrepareFolder:
    """A dataset of three clips, and a file of somebody else."""
    folder = PrepareFolder(tmp_path / "ds")
    (folder.path / "train").mkdir(parents=True)
    for name in ("a_1.wav", "a_2.wav", "a_3.wav", "metadata.jsonl", "notes.txt"):
        (folder.path / "train" / name).write_text(name)
    clips = [{"name": f"a_{number}.wav"} for number in (1, 2, 3)]
    folder.report.write_text(json.dumps({"made_by": MADE_BY, "identity": IDENTITY, "clips": clips}))
    return folder


@pytest.mark.parametrize("again", [{"resume": True, "overwrite": False}, {"resume": False, "overwrite": True}])
@pytest.mark.parametrize("removed", range(5))
def test_an_interrupted_removal_goes_on(
    finished: PrepareFolder, monkeypatch: pytest.MonkeyPatch, removed: int, again: dict[str, bool]
) -> None:
    unlink, done = Path.unlink, []

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith(("a_", "metadata", "prepare_report")):
            if len(done) == removed:
                raise KeyboardInterrupt
            done.append(path)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", interrupted)
        finished.open(IDENTITY, resume=False, overwrite=True)
    with pytest.raises(UsageError):
        finished.open(IDENTITY, resume=False, overwrite=False)
    assert finished.open(IDENTITY, **again) is None
    assert [path.name for path in (finished.path / "train").iterdir()] == ["notes.txt"]
    assert json.loads(finished.state.read_text()) == IDENTITY and not finished.report.exists()


def test_a_finished_dataset_is_not_replaced_unasked(finished: PrepareFolder) -> None:
    report = finished.open(IDENTITY, resume=True, overwrite=False)
    assert report is not None and len(report["clips"]) == 3 and (finished.path / "train" / "a_1.wav").exists()
