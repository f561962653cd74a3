"""``from voiceclone import ...``: the public names, loaded on first use, and path arguments of any type."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import REPOSITORY

import voiceclone
from voiceclone import CloneConfig, UsageError, VoicePack, load_base
from voiceclone.audio.stream import sound_file
from voiceclone.bases.base import load_stock_voices
from voiceclone.voice.lookup import VoiceFinder


class Place:
    """A path that is neither text nor a ``Path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_every_public_name_is_there_and_nothing_heavy_is_loaded_before_it_is_used() -> None:
    code = (
        "import sys, voiceclone\n"
        "from voiceclone import CloneConfig, CloneReport, Reporter, UsageError, VoicecloneError\n"
        "heavy = {'torch', 'numpy', 'kokoro', 'librosa'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from voiceclone import *\n"
        "assert all(name in globals() for name in voiceclone.__all__)\n"
        "assert set(voiceclone.__all__) <= set(dir(voiceclone))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="nonsense"):
        _ = voiceclone.nonsense


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(voiceclone.__file__).parent / "py.typed").is_file()


def test_paths_of_any_kind(tmp_path: Path, base_folder: Path) -> None:
    config = CloneConfig(data=Place(tmp_path), out=Place(tmp_path / "out"), base=base_folder, resume=Path("last.pt"))
    assert (config.data, config.out) == (str(tmp_path), str(tmp_path / "out"))
    assert (config.base, config.resume) == (str(base_folder), "last.pt") and config.folder == tmp_path / "out/my_voice"
    assert load_base(Place(base_folder)).folder == base_folder
    stock = load_stock_voices(Place(base_folder))
    stock["stock_0"].save(Place(tmp_path / "a.pt"))
    assert VoicePack.load(Place(tmp_path / "a.pt")).name == "a"
    assert VoiceFinder(lambda: stock).find(Place(tmp_path / "a.pt")).name == "a"
    with sound_file(Place(tmp_path / "a.wav")) as write:
        write(np.zeros(2400, np.float32))
    assert soundfile.info(tmp_path / "a.wav").frames == 2400


@pytest.mark.parametrize("wrong", [{"name": Path("a")}, {"data": 3}, {"data": os.fsencode("a")}])
def test_what_is_no_path_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}.*str expected"):
        CloneConfig(**{"data": "d", **wrong})


INTERFACES = {"add_arguments", "run", "train_and_pack"}
"""Functions that every command, and every recipe of ``train-base``, has under the same name."""


def test_no_two_public_classes_or_functions_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in Path(voiceclone.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_":
                places.setdefault(node.name, []).append(path.name)
    assert len(places) > 900
    assert {name for name, files in places.items() if len(files) > 1} <= INTERFACES
