"""Cutting and levelling of clips, and their measurements."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceclone.alignment.recording_features import blocks, features_of_samples, pauses, read_features
from voiceclone.prepare.clips import (
    HIGHEST_PEAK,
    ClipLimits,
    PlannedClip,
    integrated_loudness,
    noise_and_silence,
    write_clips,
)
from voiceclone.prepare.speakers import MIN_LIKENESS, wrong_speakers

RATE = 16_000  # Hz


def syllables(seconds: float, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    return (level * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def planned(start: float, end: float, name: str | None = "a_0001", **known) -> PlannedClip:
    return PlannedClip(name=name, recording=0, start=start, end=end, text="x", **known)


def written(path: Path, clips: list[PlannedClip], folder: Path, *, embed=None) -> dict[str, dict]:
    found = write_clips(path, clips, folder, loudness=-23.0, limits=ClipLimits(), embed=embed)
    return {clip.name: record for clip, record in found}


def test_loudness_of_a_sine_is_as_the_standard_says() -> None:
    """EBU Tech 3341: a stereo sine of 1 kHz at -23 dBFS has -23 LUFS; one channel of it 3 dB less."""
    time = np.arange(5 * 24_000) / 24_000
    sine = 10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * time)
    assert integrated_loudness(sine.astype(np.float32)) == pytest.approx(-26.0, abs=0.1)
    assert integrated_loudness(np.zeros(24_000, np.float32)) is None
    assert integrated_loudness(sine[:2400].astype(np.float32)) is None


@pytest.mark.parametrize("level", [0.01, 0.2])
def test_clips_are_levelled_and_keep_below_full_scale(tmp_path: Path, level: float) -> None:
    soundfile.write(tmp_path / "a.wav", 0.05 + syllables(6.0, level), RATE, subtype="FLOAT")
    record = written(tmp_path / "a.wav", [planned(1.0, 4.5)], tmp_path / "out")["a_0001"]
    audio, rate = soundfile.read(tmp_path / "out" / "a_0001.wav", dtype="float32")
    assert rate == 24_000 and len(audio) == pytest.approx(3.5 * 24_000, abs=2)
    assert integrated_loudness(audio) == pytest.approx(-23.0, abs=0.1)
    assert abs(audio.mean()) < 1e-3 and audio[0] == 0.0 and np.abs(audio).max() < HIGHEST_PEAK
    assert record["gain_db"] == pytest.approx(-23.0 - record["loudness_before"], abs=0.02)


def test_a_peak_stops_the_gain(tmp_path: Path) -> None:
    sound = syllables(4.0, 0.01)
    sound[30_000] = 0.9
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    written(tmp_path / "a.wav", [planned(0.0, 4.0)], tmp_path / "out")
    audio, _ = soundfile.read(tmp_path / "out" / "a_0001.wav", dtype="float32")
    assert 0.9 < np.abs(audio).max() <= HIGHEST_PEAK + 1e-3 and integrated_loudness(audio) < -24.0


def test_every_stretch_is_its_part_of_the_recording(tmp_path: Path) -> None:
    """Of 70 s, which are read in several blocks; stretches touch, overlap, and leave gaps longer than a block."""
    sound = np.random.default_rng(0).uniform(-0.4, 0.4, (70 * 8000, 2))
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
    spans = [(0.0, 2.0), (1.5, 3.0), (3.0, 4.0), (29.0, 31.0), (66.0, 69.999)]
    clips = [planned(a, b, f"a_{k:04d}") for k, (a, b) in enumerate(spans)]
    records = written(tmp_path / "a.wav", clips[::-1], tmp_path / "out")
    whole, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    whole = whole.mean(axis=1)
    for k, (start, end) in enumerate(spans):
        part = whole[round(start * rate) : round(end * rate)]
        digest = hashlib.sha256(str(rate).encode() + part.astype("<f4").tobytes()).hexdigest()
        assert records[f"a_{k:04d}"]["audio_sha256"] == digest, k


def test_a_clip_that_is_done_is_not_cut_again(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", syllables(8.0), RATE)
    clips = [planned(0.5, 3.0), planned(3.0, 6.0, "a_0002")]
    first = written(tmp_path / "a.wav", clips[:1], tmp_path / "out")
    (tmp_path / "out" / "a_0001.wav").write_bytes(b"kept")
    again = written(tmp_path / "a.wav", clips, tmp_path / "out")
    assert again["a_0001"] == first["a_0001"] and (tmp_path / "out" / "a_0001.wav").read_bytes() == b"kept"
    assert again["a_0002"]["problem"] is None and (tmp_path / "out" / "a_0002.wav").is_file()


@pytest.mark.parametrize(
    ("known", "reason"),
    [({"snr_db": 18.0}, "noisy: speech is 18 dB over the noise, at least 20 dB"),
     ({"silence": 0.75}, "mostly silent: 75 % of it, at most 60 %"), ({"snr_db": 30.0, "silence": 0.2}, None)],
)  # fmt: skip
def test_what_the_plan_measured_is_judged(tmp_path: Path, known: dict, reason: str | None) -> None:
    soundfile.write(tmp_path / "a.wav", syllables(4.0), RATE)
    assert written(tmp_path / "a.wav", [planned(0.0, 4.0, **known)], tmp_path)["a_0001"]["problem"] == reason
    assert (tmp_path / "a_0001.wav").exists() == (reason is None)
    assert json.loads((tmp_path / "a_0001.json").read_text())["problem"] == reason


def test_clipping_is_measured_in_the_recording_not_in_the_clip(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.clip(syllables(4.0, 2.0), -1, 1), RATE)
    assert written(tmp_path / "a.wav", [planned(0.0, 4.0)], tmp_path)["a_0001"]["problem"].startswith("clipped")


def test_the_noise_in_pauses_is_measured() -> None:
    found = {}
    for noise_db in (-70.0, -50.0, -40.0):
        sound = np.concatenate([syllables(2.0), np.zeros(RATE), syllables(2.0), np.zeros(RATE)])
        sound = sound + 10 ** (noise_db / 20) * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
        heard = features_of_samples(sound, RATE)
        snr, silence = noise_and_silence(heard, pauses(heard), 0.0, 6.0)
        assert silence == pytest.approx(1 / 3, abs=0.03)
        found[noise_db] = snr + noise_db - 10 * np.log10(np.mean(sound[: 2 * RATE] ** 2))
    # More by the same amount at every level: white noise counts less than speech, and its quietest tenth is taken.
    assert all(0.0 < bias < 12.0 for bias in found.values())
    assert max(found.values()) - min(found.values()) < 1.0


def test_without_speech_no_noise_is_reported() -> None:
    heard = features_of_samples(syllables(3.0), RATE)
    assert noise_and_silence(heard, np.ones(len(heard.energy), bool), 0.0, 3.0) == (None, 1.0)


def test_blocks_are_the_whole_recording_at_either_rate(tmp_path: Path) -> None:
    sound = syllables(65.0, rate=8000)
    soundfile.write(tmp_path / "a.flac", sound, 8000)
    whole, _ = soundfile.read(tmp_path / "a.flac", dtype="float32")
    np.testing.assert_array_equal(np.concatenate(list(blocks(tmp_path / "a.flac"))), whole)
    resampled = np.concatenate(list(blocks(tmp_path / "a.flac", 16_000)))
    assert len(resampled) == pytest.approx(65 * 16_000, abs=10)
    assert read_features(tmp_path / "a.flac").seconds == pytest.approx(65.0, abs=0.1)


def vectors(like: list[float]) -> dict[str, list[float]]:
    """Unit vectors whose cosine to the first axis is given."""
    found = {}
    for index, value in enumerate(like):
        vector = np.zeros(len(like) + 1)
        vector[0], vector[index + 1] = value, np.sqrt(1 - value**2)
        found[f"c{index}"] = vector.tolist()
    return found


def test_clips_of_another_speaker_are_told_apart() -> None:
    found = wrong_speakers(vectors([0.95] * 8 + [0.2, 0.3]))
    assert [name for name, (_, problem) in found.items() if problem] == ["c8", "c9"]
    assert found["c8"][1].startswith("another speaker: likeness 0.")
    assert all(likeness > MIN_LIKENESS for likeness, problem in found.values() if problem is None)


def test_too_few_clips_are_not_judged() -> None:
    assert wrong_speakers(vectors([0.95, 0.95, 0.95, 0.1])) == {}
    assert wrong_speakers({f"c{index}": None for index in range(9)}) == {}
