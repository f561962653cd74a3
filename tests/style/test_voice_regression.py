"""The regression of voices on style, speaker vector and F0."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from voiceclone.audio.features import LogMel
from voiceclone.base_training.voice_regression_fitting import (
    MeasuredSpeech,
    explained_variance,
    fit_voice_regression,
)
from voiceclone.bases.base import load_base
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.resemblyzer import INSTALL, load_resemblyzer
from voiceclone.style.extraction import reference_mel
from voiceclone.style.voice_regression import FEATURES, f0_of, f0_statistics, load_voice_regression
from voiceclone.voice.official import official_voice
from voiceclone.voice.profile import REFERENCE_ROW

VOICED = np.full(80, 200.0, dtype=np.float32)


def synthetic_speech(count: int = 900) -> MeasuredSpeech:
    """Features and voices that are linear in the same eight random values."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(count, 8, generator=generator)

    def block(width: int, size: float) -> torch.Tensor:
        return size * (hidden @ torch.randn(8, width, generator=generator) + 1.0)

    return MeasuredSpeech(style=block(256, 0.2), speaker=block(256, 0.05), f0=block(2, 0.3), voices=block(256, 0.1))


def test_a_linear_dependence_is_found_and_noise_is_not() -> None:
    speech = synthetic_speech()
    assert all(explained_variance(speech)[half] > 0.98 for half in ("acoustic", "prosodic"))
    shuffled = speech.voices[torch.randperm(len(speech), generator=torch.Generator().manual_seed(1))]
    unrelated = replace(speech, voices=shuffled)
    assert all(explained_variance(unrelated)[half] < 0.05 for half in ("acoustic", "prosodic"))


def test_voices_that_were_trained_on_are_no_part_of_the_test() -> None:
    speech = synthetic_speech()
    speech.voices[:600] = speech.voices[:3].repeat(200, 1)  # three voices that speak most utterances
    assert explained_variance(speech)["unseen_voices"] == 60


def test_a_fitted_regression_gives_the_voice_of_an_utterance_and_survives_its_file(tmp_path: Path) -> None:
    speech = synthetic_speech()
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
    style, speaker = torch.full((1, 256), 0.1), torch.full((256,), 1 / 16)

    def voice_at(f0: torch.Tensor) -> torch.Tensor:
        return torch.cat([style[0], speaker, f0]) @ regression.weight + regression.bias

    assert torch.allclose(regression.voice(style, speaker, [np.zeros(400)])[0], voice_at(regression.f0_mean))
    constant = torch.tensor([np.log(200.0), 0.0]).float()
    assert torch.allclose(regression.voice(style, speaker, [VOICED])[0], voice_at(constant), atol=1e-5)
    assert not torch.allclose(voice_at(constant), voice_at(regression.f0_mean), atol=1e-3)


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


def test_it_recovers_stock_voices_from_their_speech_better_than_the_style_does() -> None:
    encoder = load_resemblyzer()
    if encoder is None:
        pytest.skip(f"Resemblyzer is not installed: {INSTALL}")
    base = load_base("nano")
    kokoro, log_mel = FrozenKokoro(base.kmodel, torch.device("cpu")), LogMel()
    text = kokoro.text("hˈi hɐd nˈɛvəɹ sˈin sˌO mˈɛni pˈipəl wˈAɾɪŋ fɔɹ ɐ sˈɪŋɡəl tɹˈAn.")
    errors = []
    for name in ("af_heart", "am_adam", "bf_emma", "bm_george"):
        pack = base.stock_voices[name]
        spoken = kokoro.utter(text, pack.row(text.phoneme_count))
        audio = spoken.audio.numpy()
        with torch.no_grad():
            style = base.style_encoders.eval()(reference_mel(audio, log_mel))
        found = load_voice_regression().voice(style, torch.from_numpy(encoder.embed(audio)), [spoken.f0.numpy()])
        true = pack.tensor[REFERENCE_ROW]
        errors.append([float((voice - true)[0, :128].norm()) for voice in (found, style)])
    ours, styles = np.mean(errors, axis=0)
    assert ours < 0.9 * styles
