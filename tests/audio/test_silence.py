"""Trimming is librosa's, sample for sample."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from voiceclone.audio.silence import sounding_range, trim


@pytest.mark.parametrize("top_db", [20, 30, 40])
@pytest.mark.parametrize("length", [1, 511, 2048, 30_001, 48_000])
def test_the_same_samples_as_librosa_keeps(length: int, top_db: float) -> None:
    rng = np.random.default_rng(length)
    for _ in range(20):
        swell = np.interp(np.arange(length), np.sort(rng.uniform(0, length, 5)), 10.0 ** rng.uniform(-4, 0, 5))
        audio = (0.3 * swell * rng.standard_normal(length)).astype(np.float32)
        kept, places = librosa.effects.trim(audio, top_db=top_db)
        np.testing.assert_array_equal(trim(audio, top_db=top_db), kept)
        assert sounding_range(audio, top_db=top_db) == tuple(places)


def test_digital_silence_is_trimmed_as_by_librosa() -> None:
    silent = np.zeros(9000, dtype=np.float32)
    np.testing.assert_array_equal(trim(silent, top_db=30), librosa.effects.trim(silent, top_db=30)[0])
    click = silent.copy()
    click[5000] = 1.0
    kept = trim(click, top_db=30)
    assert 0 < len(kept) < 9000
    np.testing.assert_array_equal(kept, librosa.effects.trim(click, top_db=30)[0])
