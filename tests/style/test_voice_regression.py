"""The regression of voices on style, speaker vector and F0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from voiceclone.base_training.voice_regression_fitting import (
    MeasuredSpeech,
    explained_variance,
    fit_voice_regression,
)
from voiceclone.errors import VoicecloneError
from voiceclone.style.voice_regression import FEATURES, f0_of, f0_statistics, load_voice_regression
from voiceclone.voice.official import official_voice
from voiceclone.voice.profile import REFERENCE_ROW

VOICED = np.full(80, 200.0, dtype=np.float32)


def made_up_speech(count: int = 900, noise: float = 0.0) -> MeasuredSpeech:
    """Voices that depend linearly on eight hidden values, as do the features, apart from noise in the features."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(count, 8, generator=generator)

    def block(width: int, size: float) -> torch.Tensor:
        mixed = hidden @ torch.randn(8, width, generator=generator) + 1.0
        return size * (mixed + noise * torch.randn(count, width, generator=generator))

    return MeasuredSpeech(style=block(256, 0.2), speaker=block(256, 0.05), f0=block(2, 0.3), voices=block(256, 0.1))


def test_a_linear_dependence_is_found_and_noise_is_not() -> None:
    assert all(explained_variance(made_up_speech())[half] > 0.98 for half in ("acoustic", "prosodic"))
    speech = made_up_speech()
    shuffled = speech.voices[torch.randperm(len(speech), generator=torch.Generator().manual_seed(1))]
    alone = MeasuredSpeech(style=speech.style, speaker=speech.speaker, f0=speech.f0, voices=shuffled)
    assert all(explained_variance(alone)[half] < 0.05 for half in ("acoustic", "prosodic"))


def test_a_fitted_regression_gives_the_voice_of_an_utterance_and_survives_its_file(tmp_path: Path) -> None:
    speech = made_up_speech()
    fitted = fit_voice_regression(speech)
    fitted.save(tmp_path / "r.safetensors")
    again = load_voice_regression(tmp_path / "r.safetensors")
    features = speech.features[3]
    expected = features @ fitted.weight + fitted.bias
    assert (expected - speech.voices[3]).norm() < 0.1 * (speech.voices.mean(dim=0) - speech.voices[3]).norm()
    found = features @ again.weight + again.bias
    assert (found - expected).norm() < 0.02 * expected.norm(), "float16"


def test_f0_is_measured_on_voiced_frames_and_its_mean_stands_in_where_there_are_none() -> None:
    mixed = np.r_[np.zeros(50), VOICED, np.full(80, 100.0)]
    statistics = f0_statistics([mixed, VOICED])
    assert statistics is not None and np.isclose(statistics[0], np.log(200)) and 0.2 < statistics[1] < 0.4
    assert f0_statistics([]) is None and f0_statistics([VOICED[:20], np.zeros(900)]) is None
    regression = load_voice_regression()
    style, speaker = torch.zeros(1, 256), torch.full((256,), 1 / 16)
    mean = float(regression.f0_mean[0])
    unvoiced = regression.voice(style, speaker, [np.zeros(400)])
    same = unvoiced - regression.voice(style, speaker, [np.full(400, np.exp(mean))])
    other = unvoiced - regression.voice(style, speaker, [np.full(400, np.exp(mean + 0.5))])
    assert other.norm() > same.norm()


def test_only_the_first_seconds_are_tracked() -> None:
    time = np.arange(24_000) / 24_000
    tone = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 9)).astype(np.float32) * 0.1
    tracks = f0_of([tone, tone, tone], 36_000)
    assert [len(track) for track in tracks] == [81, 41]
    assert abs(np.median(tracks[0][tracks[0] > 0]) - 150) < 3


def test_the_package_regression_gives_voices_as_large_as_the_official_ones() -> None:
    regression = load_voice_regression()
    heart = official_voice("af_heart").tensor[REFERENCE_ROW]
    found = regression.voice(heart, torch.full((256,), 1 / 16), [VOICED])
    assert found.shape == (1, 256) and torch.isfinite(found).all()
    assert 0.3 < float(found.norm() / heart.norm()) < 3


@pytest.mark.parametrize(
    "values",
    [
        {"weight": torch.zeros(3, 256), "bias": torch.zeros(256), "f0_mean": torch.zeros(2)},
        {"weight": torch.zeros(FEATURES, 256), "bias": torch.zeros(256)},
        {"something": torch.zeros(2)},
    ],
)
def test_another_file_is_refused(tmp_path: Path, values: dict[str, torch.Tensor]) -> None:
    save_file(values, tmp_path / "x.safetensors")
    with pytest.raises(VoicecloneError, match=r"x\.safetensors: holds no regression of voices"):
        load_voice_regression(tmp_path / "x.safetensors")
