"""The splines and the stochastic duration predictor."""

from __future__ import annotations

from dataclasses import replace

import torch

from voiceclone.models.vits2.config import vits2_preset
from voiceclone.models.vits2.layers import length_mask
from voiceclone.models.vits2.splines import spline
from voiceclone.models.vits2.stochastic_durations import DurationFlow, StochasticDurationPredictor


def drawn(*shape: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    x = 8 * torch.rand(*shape, generator=generator) - 4
    return x, *(torch.randn(*shape, size, generator=generator) for size in (10, 10, 9))


def test_the_inverse_undoes_it_inside_and_outside() -> None:
    x, *parameters = drawn(3, 200)
    x = torch.cat([x, torch.tensor([[-5.0, 5.0, 7.0, -9.0]]).expand(3, 4)], 1)
    parameters = [torch.cat([p, p[:, :4]], 1) for p in parameters]
    y, growth = spline(x, *parameters)
    back, shrinking = spline(y, *parameters, inverse=True)
    assert torch.allclose(back, x, atol=1e-4) and torch.allclose(growth, -shrinking, atol=1e-3)
    assert torch.equal(y[:, -2:], x[:, -2:])
    double = [p.double() for p in (x, *parameters)]
    y, _ = spline(*double)
    assert torch.allclose(spline(y, *double[1:], inverse=True)[0], double[0], atol=1e-8)


def test_the_log_determinant_is_the_log_derivative() -> None:
    x, *parameters = (one.double() for one in drawn(50))
    x.requires_grad_(True)
    y, growth = spline(x, *parameters)
    (derivative,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(growth, derivative.log(), atol=1e-8)


def test_the_flow_of_durations_can_be_undone_and_learns() -> None:
    """The likelihood of tokens that always last 3 and 12 frames increases, and then durations near those are drawn."""
    torch.manual_seed(0)
    config = replace(vits2_preset("tiny"), stochastic_durations=True, duration_dropout=0.0)
    predictor = StochasticDurationPredictor(config)
    features = torch.randn(1, config.hidden, 2).expand(4, -1, -1).repeat(1, 1, 3)
    mask = length_mask(torch.full((4,), 6), 6)
    frames = torch.tensor([3.0, 12.0]).repeat(3).expand(4, 1, 6)
    optimizer = torch.optim.Adam(predictor.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        loss = predictor.negative_log_likelihood(features, mask, None, frames).mean() / 6
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[24] < losses[0] - 0.5
    with torch.no_grad():
        drawn = torch.cat([predictor(features, mask, None, torch.randn(4, 2, 6)).exp() for _ in range(20)])
        medians = drawn.reshape(-1, 2).median(dim=0).values
        assert 2.0 < medians[0] < 3.5 and 9.0 < medians[1] < 14.0, medians
        latent = torch.randn(4, 2, 6)
        assert not torch.allclose(predictor.flow(latent, mask, features)[0], latent, atol=0.1)
        there = predictor.flow(latent, mask, features)[0]
        assert torch.allclose(predictor.flow.inverse(there, mask, features), latent, atol=1e-4)
        skipped = predictor.flow.inverse(there, mask, features, skip=1)
        assert torch.allclose(skipped[:, 0], latent[:, 0], atol=1e-4), "the part that is left out does not matter"
        assert not torch.allclose(skipped[:, 1], latent[:, 1], atol=0.1)


def test_the_log_determinant_of_the_flow_is_that_of_its_jacobian() -> None:
    torch.manual_seed(4)
    flow = DurationFlow(8).double()
    for parameter in flow.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    mask, condition, x = torch.ones(1, 1, 3).double(), torch.randn(1, 8, 3).double(), torch.randn(1, 2, 3).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, mask, condition)[0], x).reshape(6, 6)
    assert torch.allclose(flow(x, mask, condition)[1], torch.linalg.slogdet(jacobian).logabsdet[None], atol=1e-8)


def test_padding_does_not_change_the_stochastic_durations() -> None:
    torch.manual_seed(3)
    config = replace(vits2_preset("tiny"), stochastic_durations=True, speakers=2)
    predictor = StochasticDurationPredictor(config).eval()
    for parameter in predictor.parameters():  # the last layers are initialized to 0
        parameter.data += 0.1 * torch.randn_like(parameter)
    voice, features = torch.randn(1, config.voice_size, 1), torch.randn(1, config.hidden, 7)
    frames, noise = torch.randint(1, 9, (1, 1, 7)).float(), torch.randn(1, 2, 7)
    alone, mask = torch.ones(1, 1, 7), length_mask(torch.tensor([7]), 11)
    more = [torch.nn.functional.pad(one, (0, 4), value=2.0) for one in (features, frames, noise)]
    short = predictor.negative_log_likelihood(features, alone, voice, frames, noise)
    assert torch.allclose(short, predictor.negative_log_likelihood(more[0], mask, voice, more[1], more[2]), atol=1e-4)
    logs, longer = predictor(features, alone, voice, noise), predictor(more[0], mask, voice, more[2])
    assert torch.allclose(logs, longer[:, :, :7], atol=1e-5) and not longer[:, :, 7:].any()
