"""Whole files or none, also on a full disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support import QUICK

from voiceclone.errors import VoicecloneError
from voiceclone.files import atomic_path, remove_partial_files, sha256_of, write_json, write_text, write_torch


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "x")
    plain = tmp_path / "b.txt"
    plain.write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == plain.stat().st_mode


def test_json_without_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not os.listdir(tmp_path)


def test_strays_of_killed_runs_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".partial-x-last.pt").write_bytes(b"half")
    (tmp_path / "kept.txt").write_text("x")
    remove_partial_files(tmp_path)
    assert {p.name for p in tmp_path.rglob("*")} == {"checkpoints", "kept.txt"}


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_clear_line_and_keeps_the_old_file(small_disk: Path) -> None:
    target = small_disk / "v.pt"
    write_torch(target, torch.zeros(10))
    old = target.read_bytes()
    with pytest.raises(VoicecloneError, match=r"cannot write .*v\.pt: No space left.*free some space"):
        write_torch(target, torch.zeros(510, 1, 256))
    assert target.read_bytes() == old and os.listdir(small_disk) == ["v.pt"]


def test_a_clone_on_a_full_disk_ends_in_one_line(small_disk: Path, dataset_folder: Path, base_folder: Path) -> None:
    from voiceclone import clone

    with pytest.raises(VoicecloneError, match="No space left"):
        clone(
            dataset_folder,
            "v",
            out=str(small_disk),
            base=str(base_folder),
            epochs_projection=1,
            offline=True,
            without=QUICK,
        )
    assert not list(small_disk.rglob(".partial-*")) and not (small_disk / "v" / "v.pt").exists()
