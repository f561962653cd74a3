"""Interface of a trainable system: it provides modules, batches and losses; the trainer does the rest."""

from __future__ import annotations

import hashlib
import json
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
    """Losses of one step, scaled to this process' part of the batch."""

    terms: dict[str, Tensor] = field(repr=False)
    """Unweighted terms by name."""
    total: Tensor = field(repr=False)
    """Scalar: the weighted sum that the generator's optimizer minimises."""
    discriminate: Callable[[], Tensor] | None = field(default=None, repr=False)
    """Computes the discriminators' loss; None in steps without them."""


class System(ABC):
    """A text-to-speech system as :class:`voiceclone.base_training.trainer.Trainer` uses it.

    Attributes:
        trained: all modules that the generator's optimizer updates.
        averaged: the same modules with the moving average of the weights, in eval mode.
        discriminators: modules that the second optimizer updates.
    """

    trained: nn.Module
    averaged: nn.Module
    discriminators: nn.Module
    older_identity: Mapping[str, Any] = MappingProxyType({})
    """Value of :meth:`identity` for checkpoints from before a part of it existed."""

    def __init__(self, corpus: Corpus, config: TrainConfig, process_group: ProcessGroup | None = None) -> None:
        self.corpus, self.config = corpus, config
        self.process_group = process_group or ProcessGroup(device=torch.device(config.device))

    def _build(self, make: Callable[[], nn.Module], make_discriminators: Callable[[], nn.Module]) -> None:
        """Create the modules from the seed. The caller's random state is restored."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            self.trained = make()
            self.discriminators = make_discriminators()
            # Modules with weight norm do not support a deep copy.
            self.averaged = make().eval().requires_grad_(False)
        self.averaged.load_state_dict(self.trained.state_dict())
        for module in (self.trained, self.discriminators, self.averaged):
            module.to(self.process_group.device)

    def held_out_key(self) -> str:
        """SHA-256 of the names of the held-out utterances, which a resumed run must not train on."""
        batches = getattr(self, "batches", None)
        held = [self.corpus.utterances[index] for index in batches.validation] if batches is not None else []
        return hashlib.sha256(json.dumps(sorted([u.speaker, u.name] for u in held)).encode()).hexdigest()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the generator's optimizer; each may have its own ``weight_decay`` and the like.

        ``relative_rate`` multiplies the learning rate.
        """
        return [{"params": list(self.trained.parameters())}]

    def begin_step(self, progress: float) -> None:
        """Apply changes that depend on the progress (0-1) of the run, before the losses are computed."""
        return None

    @property
    def side_modules(self) -> list[nn.Module]:
        """Modules with their own optimizers, which must be identical in all processes at the start."""
        return []

    def train_beside(self, step: int, progress: float, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Train modules with their own optimizers, after the generator's step.

        Args:
            step: number of the step.
            progress: finished fraction of the run, 0-1.
            optimizer: the generator's.

        Returns:
            Unweighted terms, scaled to this process' part of the batch.
        """
        return {}

    @abstractmethod
    def losses(self, step: int, progress: float) -> StepLosses:
        """The losses of a step. Its batch depends only on the seed and the step."""

    @abstractmethod
    def initialize_from(self, base: Path) -> str:
        """Load the weights of a trained base in folder ``base``; returns its name.

        Raises:
            UsageError: there is no base of this preset.
            VoicecloneError: its files are damaged.
        """

    @abstractmethod
    def speed_up(self) -> None:
        """Compile modules or run them in bfloat16, as configured."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Values that must agree for a checkpoint to be resumed, JSON-able."""

    def state(self) -> dict[str, Any]:
        """State for a checkpoint, except the weights."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        return None

    @abstractmethod
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """A validation utterance, its recording and the averaged model's synthesis, each ``(T,)``; or None."""

    def pictures(self) -> dict[str, np.ndarray]:
        """Further matrices ``(rows, columns)`` to log at a checkpoint, by tag; row 0 is drawn at the bottom."""
        return {}

    def takes_discriminators(self, step: int, progress: float) -> bool:
        """True where the discriminators are used in this step."""
        return progress >= self.config.adversarial_share and step % self.config.discriminator_every == 0
