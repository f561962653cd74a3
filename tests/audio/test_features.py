import numpy as np
import pytest
import torch
import torchaudio

from voiceclone.audio.features import HOP, SAMPLE_RATE, LogMel, crop_length, log_energy, track_f0


def voice_like(f0: float, seconds: float = 1.0) -> np.ndarray:
    """A harmonic tone, the harmonics falling as 1/n."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return sum(0.3 / n * np.sin(2 * np.pi * n * f0 * time) for n in range(1, 9)).astype(np.float32)


def test_log_mel_equals_styletts2():
    audio = torch.randn(1, 12_345, generator=torch.Generator().manual_seed(0)) * 0.1
    # StyleTTS2's meldataset.py: no sample rate, hence torchaudio's 16 kHz filterbank.
    to_mel = torchaudio.transforms.MelSpectrogram(n_mels=80, n_fft=2048, win_length=1200, hop_length=300)
    expected = (torch.log(1e-5 + to_mel(audio)) - -4) / 4
    actual = LogMel()(audio)
    assert actual.shape == (1, 80, 1 + 12_345 // 300)
    assert torch.equal(actual, expected)


def test_a_24_khz_filterbank_differs():
    audio = torch.randn(1, 12_345, generator=torch.Generator().manual_seed(0)) * 0.1
    other = torchaudio.transforms.MelSpectrogram(
        sample_rate=24_000, n_mels=80, n_fft=2048, win_length=1200, hop_length=300
    )
    assert ((torch.log(1e-5 + other(audio)) + 4) / 4 - LogMel()(audio)).abs().mean() > 0.02


def test_energy_follows_the_level():
    audio = torch.randn(1, 24_000, generator=torch.Generator().manual_seed(0)) * 0.05
    mel = LogMel()
    quiet, loud = log_energy(mel(audio)), log_energy(mel(2 * audio))
    assert quiet.shape == (1, 81)
    # Twice the amplitude is four times the power; the 1e-5 in the logarithm is far below.
    assert torch.allclose(loud - quiet, torch.full_like(quiet, np.log(4.0)), atol=1e-2)


def test_features_let_gradients_through():
    audio = (torch.randn(1, 6_000, generator=torch.Generator().manual_seed(0)) * 0.05).requires_grad_()
    log_energy(LogMel()(audio)).sum().backward()
    assert audio.grad.abs().sum() > 0


@pytest.mark.parametrize("f0", [90.0, 140.0, 220.0, 350.0])
def test_f0_of_a_tone_is_within_a_third_of_a_semitone(f0):
    tracked = track_f0(voice_like(f0))
    assert tracked.dtype == np.float32
    assert tracked.shape == (1 + SAMPLE_RATE // HOP,)
    inner = tracked[8:-8]
    assert (inner > 0).mean() > 0.95
    assert np.abs(12 * np.log2(inner[inner > 0] / f0)).max() < 0.3


@pytest.mark.parametrize("f0", [110.0, 200.0])
def test_mains_hum_is_neither_followed_nor_voiced(f0):
    """Probabilistic YIN fails here (docs/lab_notes/f0_tracker.md)."""
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    speech = voice_like(f0) * (times < 0.5)
    hum = sum(np.sin(2 * np.pi * hertz * times) for hertz in (60.0, 120.0, 180.0))
    hum *= 0.1 * np.sqrt(np.mean(speech**2) / np.mean(hum**2))  # 20 dB below the speech
    tracked = track_f0((speech + hum).astype(np.float32))
    voiced, pause = tracked[5:36], tracked[46:]
    assert np.abs(12 * np.log2(voiced / f0)).max() < 0.3
    assert not pause.any()


@pytest.mark.parametrize("samples", [0, 1, 100, HOP, SAMPLE_RATE // 2])
def test_silence_of_any_length_has_no_f0(samples):
    tracked = track_f0(np.zeros(samples, np.float32))
    assert tracked.shape == (1 + samples // HOP,) and not tracked.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
def test_samples_that_are_no_sound_are_no_obstacle(bad):
    audio = voice_like(140.0)
    audio[12_000:] = bad
    tracked = track_f0(audio)
    assert np.isfinite(tracked).all() and (tracked[8:32] > 0).all()
    assert not track_f0(np.full(2400, bad, np.float32)).any()


def test_noise_has_no_f0():
    noise = np.random.default_rng(0).normal(0.0, 0.05, SAMPLE_RATE).astype(np.float32)
    assert not track_f0(noise).any()


@pytest.mark.parametrize(
    "frames, expected",
    [([100, 100, 20], 48), ([20], 20), ([20, 100], 48), ([20, 30, 100], 30), ([20, 30, 40, 100], 40)],
)
def test_only_short_clips_in_the_majority_shorten_the_crops(frames, expected) -> None:
    assert crop_length(48, frames) == expected
