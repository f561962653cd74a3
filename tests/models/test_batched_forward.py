"""Batched passes give the same results as single ones; padding has no effect."""

import pytest
import torch

from voiceclone.models.batched_forward import curves, decode_frames, duration_logits, prosody_features, text_features
from voiceclone.models.nano import NanoKModel, init_for_speech
from voiceclone.models.presets import tiny_config

PHONEMES = ("hɛlˈO wˈɜɹld", "ðɪs ɪz ɐ lˈɔŋɡəɹ tˈɛst ʌv ðə sˈAm θˈɪŋ")


def tiny_model():
    torch.manual_seed(0)
    model = NanoKModel(tiny_config()).eval()
    init_for_speech(model)
    return model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture
def precise_model():
    """In float64: the phases of the harmonic source amplify the rounding of float32, which differs by processor."""
    torch.set_default_dtype(torch.float64)
    try:
        yield tiny_model()
    finally:
        torch.set_default_dtype(torch.float32)


def batch(model):
    ids = [[0, *(model.vocab[c] for c in phonemes), 0] for phonemes in PHONEMES]
    tokens = torch.zeros(len(ids), max(map(len, ids)) + 7, dtype=torch.long)
    for row, values in enumerate(ids):
        tokens[row, : len(values)] = torch.tensor(values)
    return tokens, torch.tensor([len(values) for values in ids])


def test_padded_batch_predicts_the_durations_of_kokoros_own_forward(model):
    tokens, lengths = batch(model)
    style = torch.randn(2, 256, generator=torch.Generator().manual_seed(1)) * 0.3
    with torch.no_grad():
        features = prosody_features(model, tokens, lengths, style[:, 128:])
        soft = torch.sigmoid(duration_logits(model, features, lengths)).sum(-1)
    for row, phonemes in enumerate(PHONEMES):
        alone = model(phonemes, style[row : row + 1], return_output=True).pred_dur
        assert torch.equal(torch.round(soft[row, : lengths[row]]).clamp(min=1).long(), alone)


def test_audio_of_a_teacher_forced_pass_is_kokoros_own(precise_model):
    model = precise_model
    tokens, lengths = batch(model)
    style = torch.randn(1, 256, generator=torch.Generator().manual_seed(2)) * 0.3
    torch.manual_seed(5)
    truth = model(PHONEMES[0], style, return_output=True)
    frame_tokens = torch.repeat_interleave(torch.arange(len(truth.pred_dur)), truth.pred_dur)[None]
    with torch.no_grad():
        features = prosody_features(model, tokens[:1], lengths[:1], style[:, 128:])
        f0, energy = curves(model, features, frame_tokens, style[:, 128:])
        text = text_features(model, tokens[:1], lengths[:1])
        torch.manual_seed(5)
        audio = decode_frames(model, text, frame_tokens, f0, energy, style[:, :128])
    assert torch.allclose(audio[0], truth.audio, atol=1e-8)


def test_gradient_reaches_the_style(model):
    tokens, lengths = batch(model)
    style = torch.zeros(2, 128, requires_grad=True)
    text = text_features(model, tokens, lengths)
    frame_tokens = torch.arange(8).repeat_interleave(2)[None].expand(2, -1)
    audio = decode_frames(model, text, frame_tokens, torch.full((2, 32), 120.0), torch.zeros(2, 32), style)
    audio.square().mean().backward()
    assert style.grad.abs().sum() > 0
