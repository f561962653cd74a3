"""Training loop of all systems: steps, schedule, averaged weights, checkpoints, resume."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voiceclone.base_training.following import NOTHING, Following
from voiceclone.base_training.system import System
from voiceclone.base_training.systems import STYLETTS2
from voiceclone.base_training.training_tracker import TrainingTracker
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_json, write_torch

CHECKPOINT = "checkpoint.pt"
FORMAT = 3  # version of the checkpoint format; others are rejected
MAX_BAD_STEPS = 20


class Trainer:
    """Trains a system in one or more processes. All randomness of a step is determined by the seed and the step.

    Training with several processes is equivalent to one: every loss term is the mean over the whole batch, up to
    rounding (which the vocoder's source module amplifies to 0.001 of its gradient). Dropout and the source noise, which
    are drawn inside Kokoro's modules, are different samples of the same distribution. Three optional parts are computed
    of each process' own rows: the match of speech-model features (``slm_batch`` rows of each), the medians of TPRLS,
    and the batch statistics of a codec.

    Args:
        system: what is trained, with its config and its process group.
        out: folder of ``checkpoint.pt`` and ``train_config.json``, which the main process writes.
        tracker: shows the progress, logs loss terms and checkpoints.
    """

    def __init__(self, system: System, out: Path, *, tracker: TrainingTracker | None = None) -> None:
        self.system, self.out, self.tracker = system, Path(out), tracker or TrainingTracker()
        self.config, self.process_group = system.config, system.process_group
        config = self.config
        settings = {"betas": config.betas, "weight_decay": config.weight_decay}
        self.optimizer = torch.optim.AdamW(system.parameter_groups(), lr=config.learning_rate, **settings)
        rate = config.discriminator_rate
        self.discriminator_optimizer = torch.optim.AdamW(system.discriminators.parameters(), lr=rate, betas=(0.8, 0.99))
        self.step, self.seconds, self.bad_steps = 0, 0.0, 0
        self.gradient_norm = math.nan  # of the last update, before clipping
        self.history: list[dict[str, float]] = []
        self.init = ""

    @property
    def progress(self) -> float:
        """Finished fraction of the run, 0-1."""
        if self.config.steps is not None:
            return min(self.step / self.config.steps, 1.0)
        assert self.config.minutes is not None
        return min(self.seconds / (60.0 * self.config.minutes), 1.0)

    def run(self, following: Following = NOTHING) -> None:
        """Train to the end of the run. A checkpoint is written regularly and at the end.

        Args:
            following: the work that comes after the training, for the time left.

        Raises:
            VoicecloneError: the loss stopped being finite, or another process of the group is gone.
        """
        if self.process_group.is_main:
            write_json(self.out / "train_config.json", self.config.to_json())
        # Different processor types may draw slightly different initial weights from one seed.
        system = self.system
        self.process_group.broadcast_state(system.trained, system.averaged, system.discriminators, *system.side_modules)
        if self.config.compile or self.config.bfloat16 or self.config.save_memory:
            system.speed_up()
        system.trained.train()
        system.discriminators.train()
        saved, note = self.seconds, ""
        logged = (self.step, self.seconds)
        sums: dict[str, list[float]] = {}
        with self.tracker.reporter.task(
            "Training", total=self.config.steps, unit="step", done=self.step, following=following.after(self.config)
        ) as task:
            while self.progress < 1.0:
                clock = time.monotonic()
                with self.process_group.seeded(self.config.seed * 1_000_003 + self.step):
                    terms = self.train_step()
                self.step += 1
                # All processes use one clock, because schedule and end of the run depend on it.
                self.seconds += self.process_group.broadcast(time.monotonic() - clock)
                for name, value in terms.items():
                    sums.setdefault(name, []).append(value)
                if self.step % self.config.log_every == 0 or self.progress >= 1.0:
                    pace = (self.seconds - logged[1]) / (self.step - logged[0])
                    note = self._report({name: sum(values) / len(values) for name, values in sums.items()}, pace)
                    sums, logged = {}, (self.step, self.seconds)
                task.advance(1, note, seconds_left=self.config.seconds_left(self.seconds))
                if self.seconds - saved > 60 * self.config.checkpoint_minutes:
                    self.save()
                    saved = self.seconds
        self.save()

    def train_step(self) -> dict[str, float]:
        """One optimizer step; returns the unweighted terms."""
        self._set_rate()
        system = self.system
        system.begin_step(self.progress)
        system.discriminators.requires_grad_(False)
        losses = system.losses(self.step, self.progress)
        terms = dict(losses.terms)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        finite = self._update(system.trained, self.optimizer)
        generator_norm = self.gradient_norm
        if losses.discriminate is not None and finite:
            system.discriminators.requires_grad_(True)
            discriminator_loss = losses.discriminate()
            self.discriminator_optimizer.zero_grad(set_to_none=True)
            discriminator_loss.backward()
            self._update(system.discriminators, self.discriminator_optimizer)
            terms["discriminator"] = discriminator_loss
        self.gradient_norm = generator_norm
        terms.update(system.train_beside(self.step, self.progress, self.optimizer))
        self._average()
        totals = self.process_group.all_reduce(torch.stack([value.detach().float() for value in terms.values()]))
        return dict(zip(terms, totals.tolist(), strict=True))

    def save(self) -> None:
        """Write ``checkpoint.pt`` atomically, in the main process only."""
        if not self.process_group.is_main:
            return
        state = {
            "format": FORMAT,
            "config": self.config.to_json(),
            **self.system.identity(),
            **self.system.state(),
            "held_out": self.system.held_out_key(),
            "trainee": self.system.trained.state_dict(),
            "averaged": self.system.averaged.state_dict(),
            "discriminators": self.system.discriminators.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "init": self.init,
        }
        write_torch(self.out / CHECKPOINT, state)
        self.tracker.reporter.info(f"step {self.step}: checkpoint written")
        self.tracker.checkpoint(self)

    def resume(self) -> None:
        """Continue from ``out/checkpoint.pt``.

        Raises:
            UsageError: there is none, or it belongs to other speakers, another preset or another system.
        """
        state = read_checkpoint(self.out)
        wanted = {"system": self.config.system, **self.system.identity()}
        older = {"system": state["config"].get("system", STYLETTS2), **self.system.older_identity}
        found = {"preset": state["config"]["preset"], **older, **state}
        if any(found.get(name) != value for name, value in wanted.items()):
            message = "was trained on other speakers or with another preset, system or settings: choose another --out"
            raise UsageError(f"{self.out / CHECKPOINT}: {message}")
        if state.get("held_out") not in (None, self.system.held_out_key()):  # they would be trained on
            message = "was trained with other utterances held out: give the --data and the --seed of that run"
            raise UsageError(f"{self.out / CHECKPOINT}: {message}")
        system = self.system
        parts = {"trainee": system.trained, "averaged": system.averaged, "discriminators": system.discriminators}
        for name, part in {
            **parts,
            "optimizer": self.optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }.items():
            try:
                part.load_state_dict(state[name])
            except ValueError as error:  # other parameter groups
                message = "was trained with other settings, such as another generator_rate: resume with those"
                raise UsageError(f"{self.out / CHECKPOINT}: {message}") from error
        for name in ("step", "seconds", "history"):
            setattr(self, name, state[name])
        system.load_state(state)
        self.init = state.get("init", "")

    def initialize_from(self, base: Path) -> None:
        """Load the weights of the base in folder ``base``. Optimizers and discriminators keep their initialization.

        Raises:
            UsageError: there is no base of this preset.
            VoicecloneError: its files are damaged.
        """
        self.init = self.system.initialize_from(Path(base))

    def _set_rate(self) -> None:
        done, config = self.progress, self.config
        fall = max(done - config.constant_share, 0.0) / max(1.0 - config.constant_share, 1e-9)
        factor = 0.03 + 0.97 * 0.5 * (1.0 + math.cos(math.pi * fall))
        factor *= min((self.step + 1) / max(config.warmup_steps, 1), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor * group.get("relative_rate", 1.0)
        for group in self.discriminator_optimizer.param_groups:
            group["lr"] = config.discriminator_rate * max(factor, 0.2)

    def _update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """All-reduce the gradients, clip them, and step. Returns False, without a step, where they are not finite."""
        self.process_group.all_reduce_gradients(module)
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.config.clip)
        self.gradient_norm = float(norm)
        if not torch.isfinite(norm):
            self.bad_steps += 1
            self.tracker.reporter.warn(f"step {self.step}: the gradient is not finite, step skipped")
            if self.bad_steps > MAX_BAD_STEPS:
                raise VoicecloneError(
                    f"training diverged at step {self.step}: lower the learning rate and resume from {self.out}"
                )
            return False
        optimizer.step()
        return True

    @torch.no_grad()
    def _average(self) -> None:
        # A shorter half-life at the start, or the average would retain the random initialization.
        decay = min(0.5 ** (1.0 / self.config.ema_half_life), (1.0 + self.step) / (10.0 + self.step))
        ours, theirs = list(self.system.averaged.parameters()), list(self.system.trained.parameters())
        torch._foreach_lerp_(ours, theirs, 1.0 - decay)
        # Buffers are copied, not averaged: the mean of spectral norm's unit vectors would not have unit length.
        for mean, last in zip(self.system.averaged.buffers(), self.system.trained.buffers(), strict=True):
            mean.copy_(last)

    def _report(self, terms: dict[str, float], step_seconds: float) -> str:
        """Store and log the means of the last steps; returns them as a line."""
        rate = self.optimizer.param_groups[0]["lr"]
        memory = memory_megabytes(self.process_group.device)
        figures = {"learning_rate": rate, "step_seconds": step_seconds, "memory_mb": memory}
        if math.isfinite(self.gradient_norm):
            figures["gradient_norm"] = self.gradient_norm
        self.history.append({"step": self.step, "seconds": self.seconds, **terms, **figures})
        self.tracker.scalars(self.step, {**terms, **figures})
        return " ".join(f"{name} {value:.3f}" for name, value in sorted(terms.items()))


def memory_megabytes(device: torch.device) -> float:
    """Peak memory so far in MB, of the GPU or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)


def read_checkpoint(out: Path) -> dict[str, Any]:
    """Read ``out/checkpoint.pt``.

    Raises:
        UsageError: it is missing, damaged or of another version.
    """
    path = Path(out) / CHECKPOINT
    if not path.is_file():
        raise UsageError(f"{path}: no such file: train first, or leave out --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many exception types for a damaged file
        raise UsageError(f"{path}: is damaged ({type(error).__name__}): delete it and train again") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UsageError(f"{path}: is not a checkpoint of this version: train again with --overwrite")
    return state
