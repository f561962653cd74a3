"""Recordings with known words and times: sentences by eSpeak-NG, in a voice that the aligners do not use."""

from __future__ import annotations

import pytest
from talks import SENTENCES, Talk, speak_talk


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    """Half a minute with pauses between its sentences."""
    return speak_talk(tmp_path_factory.mktemp("talk") / "talk.flac", SENTENCES)
