"""The training loop for small networks."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from voiceclone.base_training.fitting import FitConfig, fit_net
from voiceclone.errors import VoicecloneError


def fitted(**settings) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Linear(4, 1)

    def step(generator: torch.Generator, done: float) -> torch.Tensor:
        x = torch.randn(32, 4, generator=generator)
        return (net(x) - x.sum(dim=1, keepdim=True)).square().mean()

    fit_net(net, list(net.parameters()), step, FitConfig(**{"steps": 200, "learning_rate": 0.1, **settings}))
    return net


def test_a_net_is_fitted_and_the_random_state_is_unchanged(caplog) -> None:
    before = torch.get_rng_state()
    with caplog.at_level(logging.INFO):
        net = fitted()
    assert torch.equal(torch.get_rng_state(), before) and not net.training
    torch.testing.assert_close(net.weight, torch.ones(1, 4), atol=0.1, rtol=0)
    assert "step 200 of 200: loss" in caplog.text


def test_the_same_seed_gives_the_same_net() -> None:
    assert torch.equal(fitted(steps=5).weight, fitted(steps=5).weight)
    assert not torch.equal(fitted(steps=5).weight, fitted(steps=5, seed=1).weight)


def test_a_nan_loss_is_an_error() -> None:
    net = nn.Linear(1, 1)
    with pytest.raises(VoicecloneError, match="the loss is nan at step 0"):
        fit_net(net, list(net.parameters()), lambda *_: net.weight.sum() * float("nan"), FitConfig(steps=3))
