"""Fit a small net: the loop that the judges of the evaluation and the phone classifier of cloning share."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.errors import VoicecloneError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a small net is fitted."""

    steps: int
    """Length of the training in optimiser steps."""
    seed: int = 0
    learning_rate: float = 2e-3
    """At its highest: it rises over the first 5 % of the steps and falls to nothing along a cosine."""
    weight_decay: float = 0.02
    clip: float = 1.0
    """L2 norm to which the gradient is cut."""
    log_every: int = 50
    """Steps between progress lines."""


def fit_net(
    net: nn.Module,
    parameters: list[nn.Parameter],
    step: Callable[[torch.Generator, float], Tensor],
    config: FitConfig,
) -> None:
    """Follow the gradient of ``step``'s loss; the random state is restored and ``net`` is left in eval mode.

    Args:
        step: gives the loss of one batch from a generator for disturbances and the share of the steps done.

    Raises:
        VoicecloneError: the loss is no number any more.
    """
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    losses: list[float] = []
    net.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for number in range(config.steps):
            done = number / config.steps
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * min((done + 1e-4) / 0.05, 0.5 * (1 + math.cos(math.pi * done)))
            optimizer.zero_grad(set_to_none=True)
            loss = step(generator, done)
            if not torch.isfinite(loss):
                raise VoicecloneError(f"the loss is {loss.item()} at step {number}: lower the learning rate")
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, config.clip)
            optimizer.step()
            losses.append(loss.item())
            if number % config.log_every == config.log_every - 1:
                logger.info("step %d of %d: loss %.3f", number + 1, config.steps, np.mean(losses[-config.log_every :]))
    net.eval()
