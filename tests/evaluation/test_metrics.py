"""Metrics on signals with known results."""

import sys
import types

import librosa
import numpy as np
import pytest

from voiceclone.evaluation import metrics
from voiceclone.evaluation.metrics_opinion import load_opinion_judge
from voiceclone.evaluation.metrics_words import Whisper, load_word_recognizer
from voiceclone.evaluation.sentences import HELD_OUT, held_out_sentences
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.pack import ROWS

RATE = 24_000


def buzz(semitones: np.ndarray, base: float = 120.0) -> np.ndarray:
    """A harmonic tone ``semitones`` above ``base`` Hz, with one value per sample."""
    phase = 2 * np.pi * np.cumsum(base * 2 ** (semitones / 12)) / RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)


def test_pitch_is_in_semitones():
    time = np.arange(RATE) / RATE
    low = metrics.measure_pitch(buzz(np.zeros(RATE)))
    high = metrics.measure_pitch(buzz(np.full(RATE, 7.0)))
    assert high.mean - low.mean == pytest.approx(7.0, abs=0.15)
    assert low.spread < 0.2
    # A sine of amplitude 3 has a standard deviation of 3 / sqrt(2).
    vibrato = metrics.measure_pitch(buzz(3 * np.sin(2 * np.pi * 2 * time)))
    assert vibrato.spread == pytest.approx(3 / np.sqrt(2), abs=0.25)


def test_octave_errors_of_the_tracker_do_not_count(monkeypatch):
    f0 = np.full(200, 110.0, dtype=np.float32)
    f0[:5] = 440.0  # two octaves up
    f0[50:80] = 0.0  # unvoiced
    monkeypatch.setattr(metrics, "track_f0", lambda audio: f0)
    pitch = metrics.measure_pitch(np.zeros(60_000, dtype=np.float32))
    assert pitch.mean == pytest.approx(12 * np.log2(110.0), abs=1e-4)
    assert pitch.spread == pytest.approx(0.0, abs=1e-4)
    monkeypatch.setattr(metrics, "track_f0", lambda audio: np.zeros(200, dtype=np.float32))
    assert metrics.measure_pitch(np.zeros(60_000, dtype=np.float32)) is None


def test_pace_leaves_pauses_out():
    tone, pause = buzz(np.zeros(RATE)), np.zeros(RATE, dtype=np.float32)
    once = np.concatenate([pause, tone, pause])
    twice = np.concatenate([tone, pause, pause, tone])
    assert metrics.spoken_seconds(once) == pytest.approx(1.0, abs=0.06)
    assert metrics.slower_percent(twice, once) == pytest.approx(100.0, abs=6)
    assert metrics.slower_percent(once, twice) == pytest.approx(-50.0, abs=3)
    assert metrics.slower_percent(once, once) == 0.0


@pytest.mark.parametrize("noise_db", [-60, -32, -26])
def test_room_noise_in_the_recording_is_not_counted_as_speech(noise_db: int):
    """Pauses with noise in a recording and silence in a clone: the same sentence at the same rate has one duration."""
    tone, pause = buzz(np.zeros(RATE)), np.zeros(RATE // 2, dtype=np.float32)
    clone = np.concatenate([pause, tone, pause, tone, pause])
    noise = np.random.default_rng(0).standard_normal(len(clone)) * tone.std() * 10 ** (noise_db / 20)
    recording = (clone + noise).astype(np.float32)
    assert abs(metrics.slower_percent(clone, recording)) < 6
    slow = np.concatenate([pause, tone, tone, pause, tone, tone, pause])
    assert metrics.slower_percent(slow, recording) == pytest.approx(100, abs=12)


def test_cepstral_distance_is_the_rms_difference_of_the_spectra():
    """A filter of A cos(pi k (m + 1/2) / 80) dB over mel band m changes one cepstrum; its RMS is A / sqrt(2) dB."""
    noise = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32) * 0.1
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)
    centres = librosa.mel_frequencies(n_mels=metrics.N_MELS + 2, fmin=0, fmax=RATE / 2)[1:-1]
    band = np.interp(frequencies, centres, np.arange(metrics.N_MELS))
    decibels = 6.0 * np.cos(np.pi * 2 * (band + 0.5) / metrics.N_MELS)
    filtered = np.fft.irfft(np.fft.rfft(noise) * 10 ** (decibels / 20)).astype(np.float32)
    difference = metrics.cepstra(filtered).mean(axis=1) - metrics.cepstra(noise).mean(axis=1)
    assert metrics.MCD_CONSTANT * np.linalg.norm(difference) == pytest.approx(6.0 / np.sqrt(2), rel=0.05)
    assert np.abs(difference).argmax() == 1  # coefficient 2 is the second of 1 to 13


def test_distortion_ignores_level_and_timing():
    time = np.arange(2 * RATE) / RATE
    speech = buzz(4 * np.sin(2 * np.pi * time)) * (1 + 0.5 * np.sin(2 * np.pi * 3 * time)).astype(np.float32)
    own = metrics.cepstra(speech)
    assert own.shape[0] == metrics.CEPSTRA
    assert metrics.mel_cepstral_distortion(own, own) == pytest.approx(0.0, abs=1e-9)
    assert metrics.mel_cepstral_distortion(metrics.cepstra(0.3 * speech), own) == pytest.approx(0.0, abs=1e-3)
    held = np.concatenate([np.repeat(own[:, :1], 40, axis=1), own], axis=1)  # the first frame held for half a second
    assert metrics.mel_cepstral_distortion(held, own) == pytest.approx(0.0, abs=1e-9)
    noise = np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32)
    assert metrics.mel_cepstral_distortion(metrics.cepstra(noise), own) > 5.0


def test_held_out_sentences_have_their_length():
    phonemizer = Phonemizer("a")
    for sentence in HELD_OUT:
        count = len(phonemizer.phonemes(sentence.text))
        assert abs(count - sentence.phonemes) <= max(1, 0.1 * sentence.phonemes), (sentence, count)
        assert count <= ROWS
    assert [sentence.phonemes for sentence in HELD_OUT] == [5, 20, 60, 150, 400]
    assert held_out_sentences("b") == HELD_OUT and held_out_sentences("f") == ()


def test_the_opinion_judge_prints_nothing(monkeypatch, capsys):
    """`evaluate --json` writes one JSON object to standard output."""

    class Model:
        def __init__(self) -> None:
            print("weights loaded from: somewhere")

        def eval(self) -> "Model":
            return self

    package = types.ModuleType("distillmos")
    package.ConvTransformerSQAModel = Model
    monkeypatch.setitem(sys.modules, "distillmos", package)
    judge, why = load_opinion_judge()
    assert judge is not None and judge.name == "distillmos" and not why
    assert not capsys.readouterr().out


def test_words_are_left_out_with_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    recognizer, why = load_word_recognizer("a")
    assert recognizer is None and "jiwer is not installed" in why


def test_a_cached_whisper_is_used_and_nothing_downloaded(monkeypatch):
    asked = []

    class Model:
        def __init__(self, name, **settings):
            asked.append(name)
            assert settings["local_files_only"] is True
            if name != "small":
                raise OSError("not cached")

        def transcribe(self, audio, **settings):
            assert settings["language"] == "en" and len(audio) == 16_000
            return iter([types.SimpleNamespace(text=" Two cats, sat.")]), None

    def wer(expected, heard):
        a, b = expected.split(), heard.split()
        return sum(x != y for x, y in zip(a, b, strict=True)) / len(a)

    monkeypatch.setitem(sys.modules, "faster_whisper", types.SimpleNamespace(WhisperModel=Model))
    monkeypatch.setitem(sys.modules, "jiwer", types.SimpleNamespace(wer=wer))
    recognizer, why = load_word_recognizer("a")
    assert isinstance(recognizer, Whisper) and recognizer.name == "faster-whisper small" and not why
    assert asked[-1] == "small" and "base.en" in asked
    assert recognizer.error_rate(np.zeros(RATE, dtype=np.float32), "Two dogs sat!") == (1, 3)


@pytest.mark.parametrize(
    ("language", "text", "said", "errors", "units"),
    [
        ("ja", "今日は、いい天気ですね。", "今日は 良い天気ですね", 1, 10),
        ("zh", "你好,世界。", "你好世界", 0, 4),
        ("hi", "नमस्ते, दुनिया!", "नमस्ते दुनिया", 0, 2),
        ("hi", "मैं ठीक हूँ", "मैं ठाक हूँ", 1, 3),
        ("fr", "L'été, ça va ?", "l été ça va", 0, 4),
        ("en", "It's twenty dollars.", "it is $20", 0, 3),
    ],
)
def test_words_are_counted_and_characters_where_there_are_no_blanks(language, text, said, errors, units) -> None:
    pytest.importorskip("jiwer", reason="jiwer is not installed: pip install '.[judges]'")
    model = types.SimpleNamespace(transcribe=lambda *_, **__: ([types.SimpleNamespace(text=said)], None))
    assert Whisper(model, "tiny", language).error_rate(np.zeros(2400), text) == (errors, units)
