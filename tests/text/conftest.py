import pytest


@pytest.fixture(scope="session")
def english():
    from voiceclone.text.g2p import Phonemizer

    return Phonemizer("a")
