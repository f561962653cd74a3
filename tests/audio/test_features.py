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


def test_silence_has_no_f0():
    assert not track_f0(np.zeros(SAMPLE_RATE // 2, np.float32)).any()


@pytest.mark.parametrize(
    "frames, expected",
    [([100, 100, 20], 48), ([20], 20), ([20, 100], 48), ([20, 30, 100], 30), ([20, 30, 40, 100], 40)],
)
def test_only_short_clips_in_the_majority_shorten_the_crops(frames, expected) -> None:
    assert crop_length(48, frames) == expected
