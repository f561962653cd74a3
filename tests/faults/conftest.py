"""Fixtures of the fault tests."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import QUICK


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, dataset_folder: Path, base_folder: Path, quick_clones: None
) -> Callable[..., int]:
    """``run(out, *flags)``: a quick clone run of voice ``v`` by the command line; its exit code."""
    from voiceclone.cli.main import main
    from voiceclone.data import dataset

    monkeypatch.setattr(dataset, "Phonemizer", _phonemizer(dataset.Phonemizer))

    def call(out: Path, *flags: str) -> int:
        places = ["--data", str(dataset_folder), "--base", str(base_folder), "--out", str(out)]
        return main(["clone", *places, "--name", "v", "--device", "cpu", "--offline", "--epochs-projection", "2",
                     "--without", QUICK, *flags])  # fmt: skip

    return call


@pytest.fixture(scope="session")
def voices() -> dict[str, bytes]:
    """The voice of :func:`whole`, made once by whichever test comes first."""
    return {}


@pytest.fixture
def whole(voices: dict[str, bytes], run: Callable[..., int], tmp_path: Path) -> bytes:
    """The file of the voice that ``run`` makes when nothing goes wrong."""
    if not voices:
        assert run(tmp_path / "whole") == 0
        voices["v"] = (tmp_path / "whole" / "v" / "v.pt").read_bytes()
    return voices["v"]


@functools.cache
def _phonemizer(kind: Callable) -> Callable:
    """One a language for all tests: it takes most of a second to build."""
    return functools.cache(kind)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """``disk("64k")`` mounts a file system of that size, or changes its size; then ``disk("ro")``, ``disk("rw")``."""
    folder = tmp_path / "disk"
    folder.mkdir()
    place, mounts = str(folder), []

    def command(*words: str) -> None:
        if subprocess.run(words, capture_output=True).returncode != 0:
            pytest.skip("cannot mount a file system here: it takes root, and leave to mount")

    def mount(what: str) -> Path:
        if what == "ro":  # a second mount on top: the first cannot turn read-only while files on it are open
            command("mount", "--bind", place, place)
            mounts.append(what)
            command("mount", "-o", "remount,bind,ro", place)
        elif what == "rw":
            command("umount", place)
            mounts.pop()
        else:
            options = ",".join(["remount"] * bool(mounts) + [f"size={what}"])
            command("mount", "-t", "tmpfs", "-o", options, "tmpfs", place)
            mounts[:] = mounts or [what]
        return folder

    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("cannot mount a file system here: it takes root")
    yield mount
    for _ in mounts:
        subprocess.run(["umount", place], check=True)
