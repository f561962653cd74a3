"""Training loop for small networks: the evaluation's recognisers and encoders, and the phone classifier."""

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
    """Settings of the training loop."""

    steps: int
    """Number of optimizer steps."""
    seed: int = 0
    learning_rate: float = 2e-3
    """Maximum: it rises over the first 5 % of the steps and then falls to 0 along a cosine."""
    weight_decay: float = 0.02
    clip: float = 1.0
    """Maximum L2 norm of the gradient."""
    log_every: int = 50
    """Steps between progress lines."""


def fit_net(
    net: nn.Module,
    parameters: list[nn.Parameter],
    step: Callable[[torch.Generator, float], Tensor],
    config: FitConfig,
) -> None:
    """Minimise the loss that ``step`` returns. The random state is restored and ``net`` is left in eval mode.

    Args:
        net: the network.
        parameters: what is trained.
        step: returns the loss of one batch, given a generator for augmentation and the finished fraction of the steps.
        config: settings.

    Raises:
        VoicecloneError: the loss is not finite.
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
