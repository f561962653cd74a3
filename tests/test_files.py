"""Files are written completely or not at all, also on a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support import QUICK

from voiceclone.distributed import choose_device
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import (
    LOCK,
    atomic_path,
    held,
    remove_partial_files,
    sha256_of,
    write_json,
    write_text,
    write_torch,
)
from voiceclone.system import processes


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


def test_leftover_files_of_killed_runs_are_removed(tmp_path: Path) -> None:
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


def test_a_checkpoint_is_not_held_twice_in_memory(tmp_path: Path) -> None:
    content = {str(number): torch.zeros(250_000) for number in range(40)}  # 40 MB
    tracemalloc.start()
    try:
        write_torch(tmp_path / "a.pt", content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10e6
    assert torch.load(tmp_path / "a.pt", weights_only=True).keys() == content.keys()


def test_a_write_sets_no_umask(tmp_path: Path, monkeypatch) -> None:
    """The umask applies to all threads: changing it briefly would affect files of other threads."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was set"))
    write_text(tmp_path / "a.txt", "x")


def test_a_lock_file_that_is_removed_before_it_is_locked_lets_no_second_holder_in(tmp_path: Path, monkeypatch) -> None:
    """As when one run ends, which removes it, while the next one has opened it and does not hold it yet."""
    fcntl = pytest.importorskip("fcntl")
    lock, real = fcntl.flock, iter([True])

    def flock(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and next(real, False):
            (tmp_path / "run" / LOCK).unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with held(tmp_path / "run", instead="--out"):
        write_text(tmp_path / "run" / "a.txt", "x")
        with pytest.raises(UsageError, match="another run"), held(tmp_path / "run", instead="--out"):
            pass
    assert os.listdir(tmp_path / "run") == ["a.txt"]


def test_a_process_apart_is_interrupted_on_windows_by_ctrl_break(monkeypatch) -> None:
    """There ``send_signal`` raises for any other signal but termination."""
    sent = []

    class Process:
        def send_signal(self, number: int) -> None:
            sent.append(number)

    assert "start_new_session" in processes.apart()
    processes.interrupt(Process())
    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setattr(processes.signal, "CTRL_BREAK_EVENT", 1, raising=False)
    assert processes.apart() == {"creationflags": 0x200}
    processes.interrupt(Process())
    assert sent == [signal.SIGINT, 1]


def test_ctrl_break_is_ctrl_c_on_windows(monkeypatch) -> None:
    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setattr(processes.signal, "SIGBREAK", signal.SIGTERM, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    try:
        processes.let_break_interrupt()
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_auto_never_takes_mps(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "cpu" and choose_device("mps").type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


def test_a_folder_that_another_run_removes_is_made_again(tmp_path: Path, monkeypatch) -> None:
    """As when a run ends that wrote nothing, after this one has made sure that the folder is there."""
    mkdir, removed = Path.mkdir, []

    def made_and_removed(self: Path, *given, **named) -> None:
        mkdir(self, *given, **named)
        if not removed:
            removed.append(self.rmdir())

    monkeypatch.setattr(Path, "mkdir", made_and_removed)
    with held(tmp_path / "run", instead="--out"):
        assert (tmp_path / "run" / LOCK).exists()
