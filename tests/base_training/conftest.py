"""A small corpus of two eSpeak-NG speakers, made once for all training tests."""

import pytest

from voiceclone.base_training.corpus import Corpus, prepare_corpus
from voiceclone.data.rows import read_rows
from voiceclone.models.presets import tiny_config


@pytest.fixture(scope="session")
def cache(spoken, tmp_path_factory):
    """Folder with the features of the training speakers."""
    folder = tmp_path_factory.mktemp("cache")
    prepare_corpus(read_rows([spoken / "train"]), folder, tiny_config()["vocab"])
    return folder


@pytest.fixture(scope="session")
def corpus(cache):
    """The training speakers with features."""
    return Corpus([cache])


@pytest.fixture(scope="session")
def unseen(spoken, tmp_path_factory):
    """The held-out speaker."""
    return prepare_corpus(read_rows([spoken / "heldout"]), tmp_path_factory.mktemp("cache"), tiny_config()["vocab"])
