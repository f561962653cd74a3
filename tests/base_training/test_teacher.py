"""Speech of a base with sampled voices, and style encoders trained on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support import TEACHER_TEXTS, settle

from voiceclone.base_training.teacher import (
    TeacherConfig,
    VoiceSampler,
    read_utterance,
    speak_teacher_utterance,
    utterance_numbers,
)
from voiceclone.base_training.voice_encoders import (
    CROP_FRAMES,
    EncoderTraining,
    StyleCorpus,
    disturb,
    random_crops,
    read_speech,
    recovered,
    train_voice_encoders,
)
from voiceclone.bases.base import Base, load_base
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    return load_base(base_folder)


def sampler(base: Base, **settings) -> VoiceSampler:
    return VoiceSampler(base.stock_voices, TeacherConfig(phonemes=(5, 40), **settings))


@pytest.fixture(scope="module")
def spoken(base: Base, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    for number in range(6):
        assert speak_teacher_utterance(number, kokoro, sampler(base), TEACHER_TEXTS, folder) > 0
    return folder


def test_an_utterance_depends_on_the_seed_and_its_number_alone(base: Base, spoken: Path, tmp_path: Path) -> None:
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    torch.rand(3)  # the state of the caller's generator does not matter
    speak_teacher_utterance(4, kokoro, sampler(base), TEACHER_TEXTS, tmp_path)
    assert (tmp_path / "000004.flac").read_bytes() == (spoken / "000004.flac").read_bytes()
    ours, theirs = read_utterance(tmp_path, 4), read_utterance(spoken, 4)
    assert all(
        torch.equal(getattr(ours, n), getattr(theirs, n)) for n in ("vector", "base", "durations", "f0", "energy")
    )
    assert (ours.voice, ours.phonemes) == (theirs.voice, theirs.phonemes)
    assert speak_teacher_utterance(4, kokoro, sampler(base), TEACHER_TEXTS, tmp_path) == 0.0  # exists already
    assert utterance_numbers(spoken) == list(range(6))


def test_what_is_read_back_fits_together(base: Base, spoken: Path) -> None:
    for number in utterance_numbers(spoken):
        one = read_utterance(spoken, number)
        frames = int(one.durations.sum())
        assert len(one.audio) == 600 * frames and len(one.f0) == len(one.energy) == 2 * frames
        assert len(one.tokens) == len(one.durations) == len(one.phonemes) + 2 and one.phonemes in TEACHER_TEXTS
        assert one.vector.shape == one.base.shape == (256,) and torch.isfinite(one.base).all() and one.voice


def test_voices_are_stock_voices_blends_and_moved_blends(base: Base) -> None:
    stock = torch.stack([pack.tensor[100, 0] for pack in base.stock_voices.values()])
    rng = np.random.default_rng(0)
    plain = sampler(base, stock_share=1.0).draw(rng)
    assert any(torch.equal(plain.base, vector) for vector in stock)
    blend = sampler(base, stock_share=0.0, moved_share=0.0).draw(rng)
    for half in (slice(0, 128), slice(128, 256)):  # within the stock voices' hull: a convex combination is found
        weights = torch.linalg.lstsq(stock[:, half].T, blend.base[half, None]).solution[:, 0]
        assert torch.allclose(weights @ stock[:, half], blend.base[half], atol=1e-5)
        assert weights.min() > -1e-4 and abs(float(weights.sum()) - 1) < 1e-3
    moved = sampler(base, stock_share=0.0, moved_share=1.0).draw(rng)
    assert "moved" in moved.recipe and float((moved.rows - moved.rows[100]).abs().max()) > 0


def test_held_out_voices_are_not_used(base: Base) -> None:
    names = list(base.stock_voices)
    drawn = sampler(base, held_out=(names[0],))
    rng = np.random.default_rng(1)
    assert all(names[0] not in drawn.draw(rng).recipe for _ in range(50))
    with pytest.raises(ValueError, match="two stock voices"):
        sampler(base, held_out=tuple(names[1:]))


def test_disturbances_keep_shape_and_stay_finite() -> None:
    mels = 0.3 * torch.randn(6, 80, 96, generator=torch.Generator().manual_seed(0))
    heard = disturb(mels, torch.Generator().manual_seed(1))
    assert heard.shape == mels.shape and torch.isfinite(heard).all()
    assert torch.equal(heard, disturb(mels, torch.Generator().manual_seed(1)))
    assert float((heard - mels).abs().mean()) > 0.05


def test_crops_are_of_one_length_and_short_mels_are_repeated() -> None:
    cut = random_crops([torch.ones(80, 30), torch.ones(80, 300)], np.random.default_rng(0))
    assert cut.shape[:2] == (2, 80) and CROP_FRAMES[0] - 8 <= cut.shape[2] <= CROP_FRAMES[1] and bool((cut == 1).all())


def test_encoders_learn_vectors_encoded_in_the_mel() -> None:
    """Vectors encoded in the mel bands are predicted better than by the mean voice after some steps."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(80, 4, generator=generator)
    traits = torch.randn(120, 4, generator=generator)
    directions = 0.3 * torch.randn(4, 256, generator=generator)
    mels = [0.3 * (mixing @ t)[:, None] + 0.1 * torch.randn(80, 80, generator=generator) for t in traits]
    speech = StyleCorpus(mels=mels, vectors=traits @ directions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoders = settle(build_style_encoders(StyleEncoderConfig(dim_in=4, style_dim=128, max_conv_dim=16)))
    config = EncoderTraining(steps=100, batch=8, held_out=0.2, clean=1.0, learning_rate=3e-3)
    figures = train_voice_encoders(encoders, speech, config)
    assert figures["explained_acoustic"] > 0.4 and figures["explained_prosodic"] > 0.4, figures
    assert set(figures) == {
        f"{a}_{b}" for a in ("cosine", "deviation_cosine", "explained") for b in ("acoustic", "prosodic")
    }


def test_a_perfect_pair_recovers_everything() -> None:
    vectors = torch.randn(5, 256, generator=torch.Generator().manual_seed(2))
    answers = iter(vectors)
    figures = recovered(lambda mel: next(answers)[None], StyleCorpus(mels=[torch.zeros(80, 70)] * 5, vectors=vectors),
                        vectors.mean(0))  # fmt: skip
    assert all(value == pytest.approx(1.0) for value in figures.values())


def test_too_little_speech_is_one_line(spoken: Path, tmp_path: Path) -> None:
    speech = read_speech(spoken)
    assert len(speech.mels) == 6 and speech.mels[0].shape[0] == 80
    encoders = build_style_encoders(StyleEncoderConfig(dim_in=4, style_dim=128, max_conv_dim=8))
    with pytest.raises(VoicecloneError, match="6 utterances are too few"):
        train_voice_encoders(encoders, speech, EncoderTraining())
    with pytest.raises(VoicecloneError, match="holds no utterances"):
        read_speech(tmp_path)
