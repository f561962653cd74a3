"""What the trainer trains: a system brings modules, batches and losses; the trainer brings everything else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, Utterance
from voiceclone.distributed import ProcessGroup


@dataclass(frozen=True, kw_only=True, eq=False)
class StepLosses:
    """The losses of one step, each the share of the whole batch that this process's rows are."""

    terms: dict[str, Tensor] = field(repr=False)
    """Unweighted, by name."""
    total: Tensor = field(repr=False)
    """Scalar: the weighted sum that the generator's optimizer minimizes."""
    discriminate: Callable[[], Tensor] | None = field(default=None, repr=False)
    """Computes the discriminators' own loss; None in steps that they have no part in."""


class System(ABC):
    """A text-to-speech system as :class:`voiceclone.base_training.trainer.Trainer` sees it.

    Attributes:
        trained: everything the generator's optimizer updates.
        averaged: the same modules, holding the running average of the weights; in eval mode.
        discriminators: what the second optimizer updates.
    """

    trained: nn.Module
    averaged: nn.Module
    discriminators: nn.Module
    older_identity: Mapping[str, Any] = MappingProxyType({})
    """What :meth:`identity` would have given for checkpoints that were written before a part of it existed."""

    def __init__(self, corpus: Corpus, config: TrainConfig, process_group: ProcessGroup) -> None:
        self.corpus, self.config, self.process_group = corpus, config, process_group

    def _build(self, make: Callable[[], nn.Module], make_discriminators: Callable[[], nn.Module]) -> None:
        """Make the modules from the seed; the caller's random state is kept."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            self.trained = make()
            self.discriminators = make_discriminators()
            # Weight norm forbids a deep copy.
            self.averaged = make().eval().requires_grad_(False)
        self.averaged.load_state_dict(self.trained.state_dict())
        for module in (self.trained, self.discriminators, self.averaged):
            module.to(self.process_group.device)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the generator's optimizer updates; a group may have settings of its own, such as ``weight_decay``."""
        return [{"params": list(self.trained.parameters())}]

    def begin_step(self, progress: float) -> None:
        """Change what changes with the progress (0-1) of the run, before the losses are computed."""
        return None

    @property
    def side_modules(self) -> list[nn.Module]:
        """Modules with optimizers of their own, which all processes must begin with alike."""
        return []

    def train_beside(self, step: int, progress: float, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Train what is trained apart, after the generator's own step; the unweighted terms, each our share.

        Args:
            optimizer: the generator's.
        """
        return {}

    @abstractmethod
    def losses(self, step: int, progress: float) -> StepLosses:
        """The losses of a step; its batch depends on the seed and the step alone."""

    @abstractmethod
    def initialize_from(self, base: Path) -> str:
        """Take the weights of a trained base in folder ``base``; its name.

        Raises:
            UsageError: no base of this preset lies there.
            VoicecloneError: its files are damaged.
        """

    @abstractmethod
    def speed_up(self) -> None:
        """Compile, or compute in bfloat16, what the config wants so."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in to be resumed, JSON-able."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds beyond the weights."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        return None

    @abstractmethod
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """A validation utterance, its recording ``(T,)`` and the averaged model's own ``(T,)``; None without one."""

    def pictures(self) -> dict[str, np.ndarray]:
        """Further matrices to be shown at a checkpoint, by tag; rows from the bottom up."""
        return {}

    def takes_discriminators(self, step: int, progress: float) -> bool:
        """Whether the discriminators have a part in this step."""
        return progress >= self.config.adversarial_share and step % self.config.discriminator_every == 0
