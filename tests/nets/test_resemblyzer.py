"""The differentiable speaker encoder compared with the original package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voiceclone.nets import resemblyzer
from voiceclone.nets.resemblyzer import load_resemblyzer

needs_package = pytest.mark.skipif(
    not resemblyzer.resemblyzer_is_installed(), reason=f"Resemblyzer is not installed: {resemblyzer.INSTALL}"
)


def voice(pitch: float, seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """A buzz with a few formant-like peaks, and a little noise."""
    time = np.arange(int(24000 * seconds)) / 24000
    harmonics = np.arange(1, int(7000 / pitch))
    weights = np.exp(-(((harmonics * pitch - 5 * pitch) / 900) ** 2)) + 0.05
    tone = sum(w * np.sin(2 * np.pi * pitch * h * time) for h, w in zip(harmonics, weights))
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.05 * tone / np.abs(tone).max() * (1 + 0.5 * np.sin(2 * np.pi * 4 * time)) + 1e-4 * noise).astype("f4")


@needs_package
def test_mels_are_the_packages_own() -> None:
    pytest.importorskip("webrtcvad")  # the package's front end imports it
    theirs = pytest.importorskip("resemblyzer.audio")
    audio16 = 0.02 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    expected = theirs.wav_to_mel_spectrogram(theirs.normalize_volume(audio16, -30, increase_only=True))
    encoder = load_resemblyzer()
    rms = float(np.sqrt(np.mean(audio16**2)))
    raised = torch.from_numpy(audio16)[None] * max(10 ** (-30 / 20) / rms, 1.0)
    ours = encoder.mel(raised).transpose(1, 2)[0].numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-6)


@needs_package
def test_vectors_are_the_packages_own() -> None:
    pytest.importorskip("webrtcvad")
    package = pytest.importorskip("resemblyzer")
    encoder, theirs = load_resemblyzer(), package.VoiceEncoder("cpu", verbose=False)
    mels = encoder.mels(torch.from_numpy(voice(120.0))[None])[:, :160]
    with torch.no_grad():
        torch.testing.assert_close(encoder._vectors(mels), theirs(mels), rtol=1e-4, atol=1e-5)


@needs_package
def test_gradient_reaches_the_audio_and_vectors_are_unit_length() -> None:
    encoder = load_resemblyzer()
    audio = torch.from_numpy(np.stack([voice(110.0, 1.2), voice(210.0, 1.2)])).requires_grad_()
    vectors = encoder(audio)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    (vectors[0] @ vectors[1].detach()).backward()
    assert torch.isfinite(audio.grad).all() and float(audio.grad[0].abs().max()) > 0


@needs_package
def test_one_voice_is_nearer_to_itself_than_to_another() -> None:
    encoder = load_resemblyzer()
    low, low_again, high = (encoder.embed(v) for v in (voice(100.0), voice(104.0, seed=1), voice(230.0)))
    assert low @ low_again > low @ high
    assert low.shape == (256,) and np.linalg.norm(low) == pytest.approx(1.0, abs=1e-5)
    assert np.isfinite(encoder.embed(np.zeros(4800, np.float32))).all()  # silence, and shorter than a stretch


def test_without_the_package_there_is_no_encoder(monkeypatch) -> None:
    monkeypatch.setattr(resemblyzer, "PACKAGE", "no_such_package_at_all")
    assert load_resemblyzer() is None and not resemblyzer.resemblyzer_is_installed()


@needs_package
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_gradient_passes_through_it_on_a_gpu() -> None:
    """cuDNN has no backward pass for an LSTM in eval mode."""
    audio = torch.from_numpy(voice(120.0))[None]
    gradients = []
    for device in ("cpu", "cuda"):
        leaf = audio.to(device).requires_grad_()
        load_resemblyzer(device)(leaf).square().sum().backward()
        gradients.append(leaf.grad.cpu())
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients, rtol=1e-2, atol=1e-3 * float(gradients[0].abs().max()))
