"""A tiny model in the place of nano, and a tiny base whose student it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import write_base

from voiceclone.models import presets
from voiceclone.voice.space import KOKORO_SPACE


@pytest.fixture
def nano(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny base of Kokoro's space in the place of nano, with other weights than any other base."""
    folder = write_base(tmp_path_factory.mktemp("nano") / "nano", seed=5, voice_space=KOKORO_SPACE)
    monkeypatch.setattr(presets, "NANO_FOLDER", folder)
    return folder


@pytest.fixture(scope="session")
def with_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base of Kokoro's space, whose student is nano."""
    return write_base(tmp_path_factory.mktemp("shared") / "base", voice_space=KOKORO_SPACE)
