"""Fixtures of several tests; no test reaches for the network."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported, so it is set before

os.environ.setdefault("VOICECLONE_TRACEBACK", "1")  # a bug that a test meets should show where

from support import write_base, write_dataset

# The user's own cache may hold the real Kokoro, and ``--base auto`` would take it: tests have a cache of their own.
USERS_CACHE = os.environ.get("XDG_CACHE_HOME")
_CACHE = tempfile.TemporaryDirectory(prefix="voiceclone-tests-cache-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name


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


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "ds")
