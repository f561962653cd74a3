"""Non-speech is removed, speech is preserved, and the bandwidth is measured correctly."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr
from scipy.signal import lfilter

from voiceclone.audio.cleaning import bandwidth, mono, without_rumble
from voiceclone.audio.features import LogMel
from voiceclone.audio.io import probe, read_audio
from voiceclone.errors import VoicecloneError

RATE = 24_000


def speech(seconds: float = 3.0, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Syllables of a buzz at low and noise at high frequencies, with pauses, over the full band."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    buzz = lfilter([1.0], [1.0, -0.95], np.sign(np.sin(2 * np.pi * 120 * time)) + 0.01 * rng.standard_normal(len(time)))
    hiss = lfilter([1.0, -0.9], [1.0], rng.standard_normal(len(time)))
    voiced = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, 1)
    unvoiced = np.clip(np.sin(2 * np.pi * 2.5 * time + 2.5), 0, 1) ** 2
    sound = buzz / np.abs(buzz).max() * voiced + 0.1 * hiss / np.abs(hiss).max() * unvoiced
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def cut(sound: np.ndarray, hertz: float, rate: int = RATE) -> np.ndarray:
    """Low-pass by resampling through a rate that contains at most ``hertz``."""
    there = soxr.resample(sound, rate, 2 * hertz, quality="HQ")
    return soxr.resample(there, 2 * hertz, rate, quality="HQ")[: len(sound)].astype(np.float32)


def noise(count: int, decibel: float) -> np.ndarray:
    return (10 ** (decibel / 20) * np.random.default_rng(9).standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("hertz", [3_400, 8_000, 11_000])
@pytest.mark.parametrize("floor_db", [None, -90, -75])
def test_where_a_recording_was_cut_is_found(hertz, floor_db) -> None:
    sound = cut(speech(), hertz)
    if floor_db is not None:
        sound = sound + noise(len(sound), floor_db)
    assert 0.92 * hertz <= bandwidth(sound, RATE) <= 1.04 * hertz


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("floor_db", [None, -75, -50])
def test_a_recording_that_was_not_cut_has_half_its_rate(rate, floor_db) -> None:
    sound = speech(rate=rate)
    if floor_db is not None:
        sound = sound + noise(len(sound), floor_db)
    assert bandwidth(sound, rate) == rate / 2


@pytest.mark.parametrize(("compression", "lowest", "highest"), [(0.9, 5_500, 7_000), (0.5, 11_000, RATE / 2)])
def test_the_cutoff_of_a_codec_is_found(compression, lowest, highest) -> None:
    """MP3 at about 24 and 80 kbit/s: LAME cuts off above 6 and above 11.4 kHz."""
    coded = io.BytesIO()
    with soundfile.SoundFile(coded, "w", RATE, 1, format="MP3", compression_level=compression,
                             bitrate_mode="CONSTANT") as file:  # fmt: skip
        file.write(speech())
    coded.seek(0)
    sound, _ = soundfile.read(coded, dtype="float32")
    assert lowest <= bandwidth(sound, RATE) <= highest


def test_a_narrow_band_recording_at_a_high_rate_is_detected() -> None:
    sound = soxr.resample(speech(rate=16_000), 16_000, 48_000).astype(np.float32)
    assert 7_400 <= bandwidth(sound, 48_000) <= 8_100


@pytest.mark.parametrize("sound", [np.zeros(0), np.zeros(100), np.zeros(48_000), np.ones(48_000), noise(48_000, -20)])
def test_all_bands_are_kept_if_the_bandwidth_is_unknown(sound) -> None:
    assert bandwidth(sound.astype(np.float32), RATE) == RATE / 2


@pytest.mark.parametrize(
    "unheard",
    [
        lambda time: 0.03 + 0 * time,
        lambda time: -0.3 + 0 * time,
        lambda time: 0.05 * time / time[-1],
        lambda time: 0.05 * np.sin(2 * np.pi * 0.5 * time),
        lambda time: 0.02 * np.sin(2 * np.pi * 6 * time),
    ],
    ids=["offset", "large offset", "drift", "sway", "rumble"],
)
def test_infrasound_is_removed(unheard) -> None:
    clean = speech()
    soiled = clean + unheard(np.arange(len(clean)) / RATE).astype(np.float32)
    before, after = (without_rumble(sound, RATE) for sound in (clean, soiled))
    inside = slice(RATE // 4, -RATE // 4)
    assert np.abs(after - before)[inside].max() < 0.02 * np.abs(soiled - clean).max()


def test_speech_stays() -> None:
    clean = speech() - speech().mean()
    assert np.abs(without_rumble(clean, RATE) - clean)[2400:-2400].max() < 0.03 * np.abs(clean).max()
    import torch

    before, after = (LogMel()(torch.from_numpy(sound)[None]) for sound in (clean, without_rumble(clean, RATE)))
    assert float((before - after)[:, 2:].abs().mean()) < 1e-3


@pytest.mark.parametrize("sound", [np.zeros(0), np.ones(1), np.ones(5), np.array([1.0, np.nan, 0.0])])
@pytest.mark.parametrize("rate", [1, 40, RATE, 2**31 - 1])
def test_unusual_sounds_and_rates_are_handled(sound, rate) -> None:
    assert len(without_rumble(sound.astype(np.float32), rate)) == len(sound)
    assert bandwidth(sound.astype(np.float32), rate) == rate / 2


def test_a_file_with_an_offset_reads_as_one_without(tmp_path) -> None:
    for name, offset in (("a", 0.0), ("b", 0.03)):
        soundfile.write(tmp_path / f"{name}.wav", 0.5 * speech() + offset, RATE, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "a.wav") - read_audio(tmp_path / "b.wav")).max() < 1e-6


@pytest.mark.parametrize(
    ("others", "cancel"),
    [
        ([-1.0], True),
        ([-0.5], True),
        ([-1.0, 0.0], True),
        ([1.0], False),
        ([0.0], False),
        ([0.3], False),
        ([1.0, 1.0], False),
        ([0.0, 0.0, 0.0, 0.0, 0.0], False),
    ],
)
def test_cancelling_channels_are_detected(others, cancel) -> None:
    sound = speech()
    channels = np.stack([sound, *(factor * sound for factor in others)], axis=1)
    average, found = mono(channels)
    assert found == cancel
    assert np.allclose(average, sound if cancel else channels.mean(axis=1), atol=1e-7)


def test_noise_in_two_channels_does_not_hide_that_they_cancel() -> None:
    sound = speech()
    channels = np.stack([sound + noise(len(sound), -60), -sound], axis=1)
    assert mono(channels)[1] and not mono(np.stack([sound, noise(len(sound), -20)], axis=1))[1]


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "AIFF", "AU", "W64", "RF64"])
def test_a_file_shorter_than_its_header_says_is_known(tmp_path, form) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(), RATE, format=form, subtype="PCM_16")
    assert probe(path).lost_seconds == 0
    path.write_bytes(path.read_bytes()[:-48_000])
    assert probe(path).lost_seconds == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0])
def test_a_stream_whose_length_was_not_known_is_whole(tmp_path, length) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(), RATE, subtype="PCM_16")
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + length.to_bytes(4, "little") + content[at + 4 :])
    assert probe(path).lost_seconds == 0


def test_a_cut_ogg_is_one_line_or_what_is_left_of_it(tmp_path) -> None:
    """Older libsndfile refuses the file, newer reads its pages; an Ogg does not say how long it was."""
    soundfile.write(tmp_path / "a.ogg", speech(), RATE)
    whole = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(whole[: len(whole) // 2])
    try:
        left = read_audio(tmp_path / "a.ogg")
    except VoicecloneError as error:
        assert "cannot be read as audio" in str(error) and "\n" not in str(error)
    else:
        assert 0 < len(left) < 0.8 * len(speech()) and np.isfinite(left).all()


def test_channels_are_compared_without_a_copy_of_all_of_them() -> None:
    """In float64 a copy of an hour in stereo would take 5 GB."""
    samples = np.random.default_rng(0).standard_normal((200_000, 8)).astype(np.float32)
    tracemalloc.start()
    mono(samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < samples.nbytes
