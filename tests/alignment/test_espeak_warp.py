"""Durations estimated without phoneme times are close to the true ones."""

import numpy as np
import pytest

from voiceclone.alignment.conditioning import trim_and_level
from voiceclone.alignment.durations import durations_from_events
from voiceclone.alignment.espeak_warp import EspeakAligner, warp_boundaries
from voiceclone.audio.io import resample
from voiceclone.errors import VoicecloneError
from voiceclone.text.espeak import EspeakSynthesizer

TEXT, PHONEMES = "The old boat left the harbour early.", "ðɪ ˈOld bˈOt lˈɛft ðə hˈɑɹbəɹ ˈɜɹli."


def test_boundaries_of_another_voice_are_found():
    speech = EspeakSynthesizer().speak(TEXT, "en-us+f4", rate_wpm=125)
    audio, events = trim_and_level(resample(speech.audio, speech.sample_rate), speech.events)
    truth, _ = durations_from_events(PHONEMES, events, len(audio) / 24000)
    found = EspeakAligner(("en-us+m3",))(audio, TEXT, PHONEMES)
    assert found.sum() == truth.sum()
    assert found.min() >= 1
    # 2 frames are 50 ms; uniform durations have an error of more than 5.
    error = np.abs(np.cumsum(found) - np.cumsum(truth)).mean()
    even = np.abs(np.cumsum(np.full(len(truth), truth.sum() / len(truth))) - np.cumsum(truth)).mean()
    assert error < 2.0 < even


def test_audio_with_another_text_is_refused():
    noise = np.random.default_rng(0).standard_normal(600 * 120).astype(np.float32) * 0.05
    with pytest.raises(VoicecloneError, match="does not seem to say"):
        EspeakAligner(("en-us+m3",), max_cost=0.5)(noise, TEXT, PHONEMES)


def test_warp_follows_a_known_stretch():
    rng = np.random.default_rng(1)
    reference = rng.standard_normal((12, 40))
    cost, moved = warp_boundaries(reference, np.repeat(reference, 2, axis=1), np.array([1, 10, 30]))
    assert cost < 1e-6
    assert np.array_equal(moved, [2.0, 20.0, 60.0])
