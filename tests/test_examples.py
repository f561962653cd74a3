"""The scripts in ``examples/`` run as their first lines say."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import soundfile
from support import QUICK, REPOSITORY

from voiceclone import VoicePack, clone

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, base_folder: Path, tmp_path: Path) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("voiceclone.clone", partial(clone, without=QUICK), raising=False)

    def call(name: str, *arguments: object) -> None:
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments), "--base", str(base_folder)])
        runpy.run_path(str(REPOSITORY / "examples" / name), run_name="__main__")

    return call


def test_they_are_short() -> None:
    assert len(EXAMPLES) == 3 and all(len(path.read_text().splitlines()) < 40 for path in EXAMPLES)


def test_clone_mix_and_speak(run: Callable[..., None], dataset_folder: Path, tmp_path: Path, capsys) -> None:
    run("clone_a_folder.py", dataset_folder, "mine", "--epochs", 1)
    made = tmp_path / "output" / "mine" / "mine.pt"
    assert made.is_file() and "its initialization" in capsys.readouterr().out
    run("mix_two_voices.py", made, "stock_1", 0.25, "mixed.pt")
    mixed = VoicePack.load("mixed.pt").tensor
    assert not (mixed == VoicePack.load(made).tensor).all()
    run("speak.py", "Good morning.", "mixed.pt", "hello.wav")
    assert soundfile.info("hello.wav").duration > 0.1


def test_a_wrong_argument_is_one_line(run: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="^error: .*no such dataset folder"):
        run("clone_a_folder.py", tmp_path / "nowhere", "mine")
