"""The differentiable forward pass equals Kokoro's, and gives gradients where Kokoro's does not."""

from __future__ import annotations

import pytest
import torch

from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro, alignment_matrix, token_ids

TEXT = "hɛlˈO wˈɜɹld, ðɪs ɪz ɐ tˈɛst."


def test_free_speech_equals_kokoros_own_forward(kokoro: FrozenKokoro, voice: torch.Tensor) -> None:
    text = kokoro.text(TEXT)
    torch.manual_seed(3)
    audio, durations = kokoro.speak(text, voice)
    torch.manual_seed(3)
    expected, expected_durations = kokoro.kmodel.forward_with_tokens(text.input_ids, voice)
    assert torch.equal(durations, expected_durations)
    assert torch.equal(audio, expected)
    assert len(audio) == 600 * int(durations.sum())


def test_kokoros_forward_gives_no_gradient_and_ours_does(kokoro: FrozenKokoro, voice: torch.Tensor) -> None:
    """Kokoro's forward pass runs under ``no_grad``, so that training through it changes nothing."""
    text = kokoro.text(TEXT)
    leaf = voice.clone().requires_grad_()
    audio, durations = kokoro.kmodel.forward_with_tokens(text.input_ids, leaf)
    assert not audio.requires_grad
    alignment = alignment_matrix(durations)
    f0, energy = torch.full((1, alignment.shape[1] * 2), 120.0), torch.zeros(1, alignment.shape[1] * 2)
    ours = kokoro.decode(text.acoustic_text @ alignment, f0, energy, leaf[:, :128])
    ours.square().mean().backward()
    assert (leaf.grad[:, :128] != 0).all()


def test_text_features_hold_no_voice_and_are_frozen(kokoro: FrozenKokoro) -> None:
    text = kokoro.text(TEXT)
    assert not text.duration_text.requires_grad and not text.acoustic_text.requires_grad
    assert text.phoneme_count == len(TEXT)


def test_unknown_symbols_are_dropped_but_counted_for_the_row(kokoro: FrozenKokoro) -> None:
    text = kokoro.text("a☃b")
    assert text.tokens == 4 and text.phoneme_count == 3
    assert token_ids("a☃b", kokoro.kmodel.vocab) == [0, 43, 44, 0]


def test_too_long_a_text_is_refused(kokoro: FrozenKokoro) -> None:
    with pytest.raises(VoicecloneError, match="511 phonemes"):
        kokoro.text("a" * 511)


def test_alignment_matrix_repeats_tokens() -> None:
    matrix = alignment_matrix(torch.tensor([2, 1, 3]))
    assert matrix.tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
