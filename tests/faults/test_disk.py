"""Full disks, read-only disks, other file systems, two runs at once: one clear line, and no loss."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from voiceclone.cli.main import main
from voiceclone.cloning.folder import RunFolder
from voiceclone.files import write_text
from voiceclone.projection import state as states

Run = Callable[..., int]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


def partial(folder: Path) -> list[Path]:
    return list(folder.rglob(".partial-*"))


def test_a_disk_that_fills_up_at_each_stage_loses_nothing(run: Run, disk, whole: bytes, capsys) -> None:
    """The same run on a disk that is too small for the report, the checkpoint, the products; then large enough.

    The disk is also another file system than that of the temporary folder, so that renames between the two would fail.
    """
    assert disk("4k").stat().st_dev != Path(tempfile.gettempdir()).stat().st_dev
    left = []
    for size in ("4k", "512k", "10m"):
        folder = disk(size)
        code = run(folder, "--resume")
        line = last_line(capsys)
        assert code == 1 and "No space left on device" in line and "free some space" in line, (size, line)
        assert not partial(folder) and not (folder / "v" / "report.json").exists()
        left.append({p.name for p in folder.rglob("*") if p.is_file()})
    assert "last.pt" not in left[1] and "last.pt" in left[2]  # each time it came further, or not less far
    folder = disk("64m")
    assert run(folder, "--resume") == 0
    assert (folder / "v" / "v.pt").read_bytes() == whole and not partial(folder)


def test_a_read_only_disk_is_one_clear_line(run: Run, disk, capsys) -> None:
    folder = disk("1m")
    disk("ro")
    assert run(folder) == 1
    assert "Read-only file system" in last_line(capsys)
    assert main(["demo-data", "--out", str(folder / "demo"), "--clips", "4"]) == 1
    assert "Read-only file system" in last_line(capsys)
    disk("rw")
    assert os.listdir(folder) == []


def test_a_disk_that_turns_read_only_in_the_middle(run: Run, disk, whole: bytes, capsys, monkeypatch) -> None:
    """As ext4 does after an error of the device. Once it can be written again, the run goes on to the same voice."""
    folder = disk("64m")
    save, count = states.write_torch, 0

    def save_then_fail(target: Path, content: object) -> None:
        nonlocal count
        save(target, content)
        count += 1
        if count == 2:
            disk("ro")

    with monkeypatch.context() as patch:
        patch.setattr(states, "write_torch", save_then_fail)
        assert run(folder) == 1
    assert "Read-only file system" in last_line(capsys)
    disk("rw")
    assert (folder / "v" / "checkpoints" / "last.pt").is_file()
    assert run(folder, "--resume") == 0
    assert (folder / "v" / "v.pt").read_bytes() == whole and not partial(folder)
    assert not (folder / "v" / ".lock").exists()


def test_a_read_only_dataset_and_base_are_enough(disk, tmp_path: Path, dataset_folder, base_folder, run: Run) -> None:
    folder = disk("16m")
    shutil.copytree(dataset_folder, folder / "ds")
    shutil.copytree(base_folder, folder / "base")
    disk("ro")
    places = ["--data", str(folder / "ds"), "--base", str(folder / "base")]
    assert run(tmp_path, *places, "--epochs-projection", "0") == 0
    disk("rw")


@pytest.mark.parametrize(("call", "says"), [("fsync", "Input/output error"), ("replace", "Input/output error")])
def test_a_failing_device_keeps_the_old_file(call: str, says: str, tmp_path: Path, monkeypatch, capsys) -> None:
    voice = tmp_path / "a.txt"
    write_text(voice, "old")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        assert main(["demo-data", "--out", str(tmp_path / "demo"), "--clips", "4"]) == 1
        with pytest.raises(Exception, match=says):
            write_text(voice, "new")
    assert says in last_line(capsys)
    assert voice.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a second process")
def test_two_runs_at_once_and_one_that_is_killed(run: Run, tmp_path: Path, capsys) -> None:
    """The second run is rejected while the first one lives; a killed first run does not block it."""
    first = os.fork()
    if first == 0:
        with RunFolder(tmp_path / "v").locked():
            write_text(tmp_path / "v" / "mine.txt", "mine")
            time.sleep(600)
    deadline = time.monotonic() + 60
    while not (tmp_path / "v" / "mine.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run(tmp_path) == 2
    assert "another run is writing" in last_line(capsys)
    assert {p.name for p in (tmp_path / "v").iterdir()} == {".lock", "mine.txt"}
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert run(tmp_path, "--epochs-projection", "0") == 0
    assert (tmp_path / "v" / "v.pt").is_file() and (tmp_path / "v" / "mine.txt").read_text() == "mine"


def test_a_lock_left_after_the_last_write_is_removed(run: Run, tmp_path: Path) -> None:
    """A run killed between its report and its end: the voice is finished, and nothing else stays beside it."""
    assert run(tmp_path, "--epochs-projection", "0") == 0
    (tmp_path / "v" / ".lock").touch()
    assert run(tmp_path, "--epochs-projection", "0", "--resume") == 0
    assert not (tmp_path / "v" / ".lock").exists() and (tmp_path / "v" / "v.pt").is_file()
