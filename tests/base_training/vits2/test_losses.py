"""Losses of VITS2 compared with analytic values, and the duration discriminator."""

from __future__ import annotations

import math

import pytest
import torch

from voiceclone.base_training.vits2.duration_discriminator import (
    DurationDiscriminator,
    duration_discriminator_loss,
    duration_generator_loss,
)
from voiceclone.base_training.vits2.losses import divergence, log_duration_error
from voiceclone.models.vits2.layers import length_mask
from voiceclone.models.vits2.synthesizer import Posterior


def drawn(mean, log_scale, mask) -> Posterior:
    z = (mean + torch.randn_like(mean) * log_scale.exp()) * mask
    return Posterior(z, mean, log_scale, z, mask)


def test_divergence_equals_the_closed_form() -> None:
    """The mean over many draws is the known divergence, within three standard errors; padding has no part in it."""
    torch.manual_seed(0)
    mask = length_mask(torch.tensor([4000, 1000]), 4000)
    shape = (2, 3, 4000)
    mean, log_scale = torch.full(shape, 0.3), torch.full(shape, -0.5)
    none = torch.zeros(2)
    same = divergence(drawn(mean, log_scale, mask), mean, log_scale, none)
    assert abs(float(same)) < 3 * math.sqrt(0.5 * 3 / 5000)  # per channel half a squared normal variate, minus a half
    prior_mean, prior_scale = torch.full(shape, -0.2), torch.full(shape, 0.1)
    found = divergence(drawn(mean, log_scale, mask), prior_mean, prior_scale, none)
    expected = 3 * (0.1 + 0.5 - 0.5 + (math.exp(-1.0) + 0.25) / (2 * math.exp(0.2)))
    assert float(found) == pytest.approx(expected, abs=3 * math.sqrt(3 / 5000))
    posterior = drawn(mean, log_scale, mask)
    grown = divergence(posterior, prior_mean, prior_scale, torch.tensor([8000.0, 2000.0]))
    plain = divergence(posterior, prior_mean, prior_scale, none)
    assert float(plain - grown) == pytest.approx(2.0, abs=1e-4)  # nats a frame


def test_duration_error_is_a_mean_over_tokens() -> None:
    frames = torch.tensor([[[2.0, 4.0, 8.0]], [[3.0, 0.0, 0.0]]])
    mask = length_mask(torch.tensor([3, 1]), 3)
    predicted = torch.log(frames.clamp(min=1)) + torch.tensor([1.0, 2.0, 0.0])
    assert float(log_duration_error(predicted, frames, mask)) == pytest.approx((1 + 4 + 0 + 1) / 4)


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_discriminator_separates_constant_from_varied_durations(recurrent: bool) -> None:
    """Real durations depend on the text; predicted ones are constant."""
    torch.manual_seed(1)
    discriminator = DurationDiscriminator(16, recurrent=recurrent)
    optimizer = torch.optim.AdamW(discriminator.parameters(), lr=3e-3)
    mask = length_mask(torch.tensor([12, 9, 12, 6]), 12)

    def batch():
        features = torch.randn(4, 16, 12) * mask
        real = (1.5 + features[:, :1]) * mask
        return features, real, torch.full_like(real, 1.5) * mask

    for _ in range(200):
        features, real, fake = batch()
        loss = duration_discriminator_loss(
            real=discriminator(features, real, mask), fake=discriminator(features, fake, mask), mask=mask
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    discriminator.eval()
    features, real, fake = batch()
    scores = [(discriminator(features, one, mask) * mask).sum() / mask.sum() for one in (real, fake)]
    assert float(scores[0]) > 0.7 and float(scores[1]) < 0.3
    assert float(duration_generator_loss(fake=discriminator(features, real, mask), mask=mask)) < 0.2


@pytest.mark.parametrize("recurrent", [False, True])
def test_padding_does_not_change_the_discriminator_loss(recurrent: bool) -> None:
    torch.manual_seed(2)
    discriminator = DurationDiscriminator(16, recurrent=recurrent).eval()
    features, real, fake = torch.randn(1, 16, 7), torch.randn(1, 1, 7), torch.randn(1, 1, 7)
    alone = torch.ones(1, 1, 7)
    mask = length_mask(torch.tensor([7]), 12)

    def padded(x):
        return torch.nn.functional.pad(x, (0, 5)) + 9.0 * (1 - mask)  # the padding must not matter

    short = duration_discriminator_loss(
        real=discriminator(features, real, alone), fake=discriminator(features, fake, alone), mask=alone
    )
    features, real, fake = padded(features), padded(real), padded(fake)
    long = duration_discriminator_loss(
        real=discriminator(features, real, mask), fake=discriminator(features, fake, mask), mask=mask
    )
    assert float(short) == pytest.approx(float(long), abs=1e-5)


def test_the_generator_loss_has_gradient_in_the_durations_only() -> None:
    discriminator = DurationDiscriminator(16)
    features, durations = torch.randn(1, 16, 5, requires_grad=True), torch.randn(1, 1, 5, requires_grad=True)
    mask = torch.ones(1, 1, 5)
    duration_generator_loss(fake=discriminator(features, durations, mask), mask=mask).backward()
    assert durations.grad is not None and features.grad is None
