"""Every loss term has its minimum at the target."""

import pytest
import torch

from voiceclone.base_training.discriminators import build_discriminators
from voiceclone.base_training.losses import (
    SpectralLoss,
    adversarial_loss,
    discriminator_loss,
    duration_losses,
    feature_match_loss,
    prosody_losses,
    style_range,
)
from voiceclone.base_training.objective import smoothed


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_mel_loss_is_zero_for_itself_and_grows_with_distance():
    loss, audio = SpectralLoss(), 0.1 * noise(2, 4800)
    assert all(float(term) == 0 for term in loss(audio, audio).values())
    near, far = loss(audio * 1.1, audio)["mel"], loss(audio * 3, audio)["mel"]
    assert 0 < near < far


def test_duration_losses_are_small_at_the_truth_and_ignore_the_padding():
    durations = torch.tensor([[2.0, 3.0, 1.0, 4.0], [1.0, 2.0, 1.0, 0.0]])
    mask = durations > 0
    logits = torch.where(durations[..., None] > torch.arange(10), 12.0, -12.0)
    logits[1, 3] = 7.0  # padding: its values must not matter
    terms = duration_losses(logits, durations, mask)
    assert all(float(value) < 1e-3 for value in terms.values())
    wrong = logits.clone()
    wrong[0, 1] = 12.0
    assert duration_losses(wrong, durations, mask)["duration"] > 1
    assert duration_losses(wrong, durations, mask)["duration_total"] > 0.1


def test_prosody_losses_are_zero_at_the_truth():
    f0, energy = noise(2, 40).abs() * 100, noise(2, 40)
    assert all(float(value) == 0 for value in prosody_losses(f0, energy, f0, energy).values())


def test_style_range_leaves_small_values_alone():
    assert float(style_range(torch.full((2, 128), 0.69))) == 0
    assert float(style_range(torch.full((2, 128), 0.9))) > 0


def test_discriminator_losses_are_least_at_the_labels():
    ones, zeros = [torch.ones(2, 5)], [torch.zeros(2, 5)]
    assert float(discriminator_loss(ones, zeros)) == 0
    assert float(discriminator_loss(zeros, ones)) == 2
    assert float(adversarial_loss(ones)) == 0
    features = [[noise(2, 4, 8)]]
    assert float(feature_match_loss(features, features)) == 0


def test_smoothing_keeps_unvoiced_frames_and_constant_voiced_ones():
    curve = torch.zeros(1, 40)
    curve[:, 10:30] = 120.0
    for width in (1, 3, 7):
        assert torch.allclose(smoothed(curve, width, keep_zeros=True), curve, atol=1e-3)


@pytest.mark.parametrize("kind", ["narrow", "full"])
def test_the_signal_reaches_the_last_layer_of_new_discriminators(kind):
    """With PyTorch's own initialization a thousandth of it did, and the period discriminators learned nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        discriminators = build_discriminators(kind)
        first, second = (discriminators(0.1 * torch.randn(1, 12_000)) for _ in range(2))
    for score, features, other in zip(*first, second[0], strict=True):
        assert 0.2 < features[-1].square().mean().sqrt() < 5
        assert score.abs().mean() < 1 and (score - other).abs().mean() > 0.05
