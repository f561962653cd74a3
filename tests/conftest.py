"""Shared fixtures. No test uses the network."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported, so it is set before

os.environ.setdefault("VOICECLONE_TRACEBACK", "1")  # an unexpected error in a test should show its traceback

from support import quick_clones, write_base, write_dataset
from synthesized import SENTENCES, crude_phonemes

from voiceclone.system.compiled import load_librosa

if TYPE_CHECKING:
    from torch import Tensor

    from voiceclone.bases.base import Base
    from voiceclone.models.frozen_kokoro import FrozenKokoro

# Tests have their own cache, because ``--base auto`` would use Kokoro from the user's cache.
USERS_CACHE = os.environ.get("XDG_CACHE_HOME")
_CACHE = tempfile.TemporaryDirectory(prefix="voiceclone-tests-cache-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

load_librosa()  # before any library that a test uses imports it beside another process


LONGEST = ("test_kill_fuzz.py", "test_on_nano.py", "test_process_group.py", "test_batch.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture
def users_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user's own cache, for tests of the real Kokoro."""
    if USERS_CACHE is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", USERS_CACHE)
    yield


@pytest.fixture(autouse=True)
def plain_logging() -> None:
    """Commands set up logging for their process; each test gets it as an import leaves it.

    Before the test, not after: a fixture of a wider scope may have run a command in between.
    """
    logging.getLogger().setLevel(logging.WARNING)
    logger = logging.getLogger("voiceclone")
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    logger.handlers.clear()


@pytest.fixture(scope="module", name="quick_clones")
def quick_clones_fixture() -> Iterator[None]:
    """For modules with many clones: see :func:`support.quick_clones`."""
    with quick_clones():
        yield


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "ds")


@pytest.fixture(scope="session")
def base(base_folder: Path) -> Base:
    """A tiny base with random weights."""
    from voiceclone.bases.base import load_base

    return load_base(base_folder)


@pytest.fixture(scope="session")
def kokoro(base: Base) -> FrozenKokoro:
    """Its model, frozen."""
    import torch

    from voiceclone.models.frozen_kokoro import FrozenKokoro

    return FrozenKokoro(base.kmodel, torch.device("cpu"))


@pytest.fixture(scope="session")
def voice(base: Base) -> Tensor:
    """A row of one of its stock voices, ``(1, 256)``."""
    return base.stock_voices["stock_0"].tensor[100]


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AudioFolder spoken by eSpeak-NG: two training speakers and one kept out."""
    from voiceclone.base_training.synthesis import SynthesisConfig, synthesize_corpus
    from voiceclone.models.presets import tiny_config

    folder = tmp_path_factory.mktemp("spoken")
    text = folder / "text.txt"
    text.write_text("\n".join(SENTENCES), encoding="utf-8")
    config = SynthesisConfig(speakers=3, held_out=1, sentences=6, seed=1)
    synthesize_corpus(text, folder, config, crude_phonemes, tiny_config()["vocab"])
    return folder
