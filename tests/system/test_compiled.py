"""librosa is imported by one process at a time."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import librosa
import pytest
from filelock import FileLock

from voiceclone.system.compiled import load_librosa


def test_it_waits_for_another_process_that_imports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found: list[object] = []
    importing = threading.Thread(target=lambda: found.append(load_librosa.__wrapped__()))
    lock = tmp_path / "held.lock"
    monkeypatch.setattr("voiceclone.system.compiled._lock", lambda: FileLock(lock).acquire(timeout=-1))
    with FileLock(lock):
        importing.start()
        importing.join(0.3)
        assert importing.is_alive() and found == []
    importing.join(60)
    assert found == [librosa]


def test_it_is_imported_where_no_lock_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    (tmp_path / "nowhere").write_text("a file where the folder should be")
    assert load_librosa.__wrapped__() is librosa


def test_the_lock_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load_librosa.__wrapped__()
    (made,) = tmp_path.iterdir()
    assert made.name.startswith("voiceclone-") and made.suffix == ".lock"
