"""The training loop of a base: steps, schedule, averaged weights, checkpoints, resume."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.discriminators import Discriminators
from voiceclone.base_training.listening import Listener
from voiceclone.base_training.objective import Objective, Trainee
from voiceclone.base_training.speed import speed_up_vocoder
from voiceclone.bases.folder import read_config, read_info
from voiceclone.distributed import Team
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_json, write_torch
from voiceclone.models.checkpoint import load_strictly, read_state
from voiceclone.models.presets import preset
from voiceclone.style.encoders import StyleEncoderConfig, load_style_encoders

logger = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.pt"
MAX_BAD_STEPS = 20


class Trainer:
    """Trains alone or in a team; everything random in a step follows from the seed and the step's number.

    A team trains what one process would: every loss term is the mean over the whole batch, up to rounding (which the
    vocoder's source branch turns into thousandths of its gradient). Only dropout and the noise of that source, drawn
    inside Kokoro's modules, are other draws of the same kind.

    Args:
        out: folder for ``checkpoint.pt`` and ``train_config.json``, which the main process writes.
        listener: hears of every progress line and checkpoint.
        team: the processes that train together; None is this one alone.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        out: Path,
        *,
        speaker_boost: dict[str, float] | None = None,
        listener: Listener | None = None,
        team: Team | None = None,
    ) -> None:
        self.corpus, self.config, self.out, self.listener = corpus, config, Path(out), listener
        self.team = Team(device=torch.device(config.device)) if team is None else team
        self.batches = BatchMaker(corpus, config, speaker_boost=speaker_boost, team=self.team)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.trainee = Trainee(config.preset, len(corpus.speakers))
            self.discriminators = Discriminators()
            # Weight norm forbids a deep copy.
            self.averaged = Trainee(config.preset, len(corpus.speakers)).eval().requires_grad_(False)
        self.averaged.load_state_dict(self.trainee.state_dict())
        self.device = self.team.device
        for module in (self.trainee, self.discriminators, self.averaged):
            module.to(self.device)
        self.objective = Objective(self.trainee, self.discriminators, config, self.team)
        settings = {"betas": config.betas, "weight_decay": config.weight_decay}
        self.optimizer = torch.optim.AdamW(self.trainee.parameters(), lr=config.learning_rate, **settings)
        rate = config.discriminator_rate
        self.judge = torch.optim.AdamW(self.discriminators.parameters(), lr=rate, betas=(0.8, 0.99))
        self.step, self.seconds, self.bad_steps = 0, 0.0, 0
        self.prosodic_started = False
        self.history: list[dict[str, float]] = []
        self.init = ""

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0-1."""
        if self.config.steps is not None:
            return min(self.step / self.config.steps, 1.0)
        return min(self.seconds / (60.0 * self.config.minutes), 1.0)

    def run(self) -> None:
        """Train to the end of the run; write a checkpoint now and then and at the end.

        Raises:
            VoicecloneError: the loss stopped being finite, or another process of the team is gone.
        """
        if self.team.is_main:
            write_json(self.out / "train_config.json", self.config.to_json())
        # Processors of two kinds may draw slightly different starts from one seed.
        self.team.share_state(self.trainee, self.averaged, self.discriminators)
        if self.config.compile or self.config.bfloat16:
            speed_up_vocoder(self.trainee, compiled=self.config.compile, bfloat16=self.config.bfloat16)
        self.trainee.train()
        self.discriminators.train()
        saved, sums, count, began = self.seconds, {}, 0, time.monotonic()
        while self.progress < 1.0:
            clock = time.monotonic()
            with self.team.seeded(self.config.seed * 1_000_003 + self.step):
                terms = self.train_step()
            self.step += 1
            # One clock for all: the schedule follows it, and so does the end of the run.
            self.seconds += self.team.of_main(time.monotonic() - clock)
            for name, value in terms.items():
                total, times = sums.get(name, (0.0, 0))
                sums[name] = (total + value, times + 1)
            count += 1
            if count == self.config.log_every or self.progress >= 1.0:
                self._report({n: t / k for n, (t, k) in sums.items()}, (time.monotonic() - began) / count)
                sums, count, began = {}, 0, time.monotonic()
            if self.seconds - saved > 60 * self.config.checkpoint_minutes:
                self.save()
                saved = self.seconds
        self.save()

    def train_step(self) -> dict[str, float]:
        """One optimiser step; the unweighted terms as numbers."""
        self._set_rate()
        if not self.prosodic_started and self.progress >= self.config.acoustic_share:
            # The paper's second stage: the prosodic encoder starts as a copy of the acoustic one.
            self.trainee.encoders.prosodic.load_state_dict(self.trainee.encoders.acoustic.state_dict())
            self.averaged.encoders.prosodic.load_state_dict(self.averaged.encoders.acoustic.state_dict())
            self.prosodic_started = True
        adversarial = self.progress >= self.config.adversarial_share and self.step % self.config.judge_every == 0
        batch = self.batches.acoustic(self.step).to(self.device)
        self.discriminators.requires_grad_(False)
        terms, audio = self.objective.acoustic(batch, adversarial=adversarial)
        terms = batch.share.of(terms)
        loss = self.objective.total(terms)
        if self.prosodic_started and self.step % self.config.prosody_every == 0:
            spoken = self.batches.prosody(self.step).to(self.device)
            prosody = spoken.share.of(self.objective.prosody(spoken))
            loss = loss + self.objective.total(prosody)
            terms = {**prosody, **terms}
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        finite = self._update(self.trainee, self.optimizer)
        if adversarial and finite:
            self.discriminators.requires_grad_(True)
            judged = self.objective.discriminate(batch, audio) * batch.share.rows
            self.judge.zero_grad(set_to_none=True)
            judged.backward()
            self._update(self.discriminators, self.judge)
            terms["discriminator"] = judged
        self._average()
        totals = self.team.total(torch.stack([value.detach().float() for value in terms.values()]))
        return dict(zip(terms, totals.tolist(), strict=True))

    def save(self) -> None:
        """Write ``checkpoint.pt`` in one step; only the main process does."""
        if not self.team.is_main:
            return
        state = {
            "config": self.config.to_json(),
            "speakers": self.corpus.speakers,
            "trainee": self.trainee.state_dict(),
            "averaged": self.averaged.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "judge": self.judge.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "prosodic_started": self.prosodic_started,
            "history": self.history,
            "init": self.init,
        }
        write_torch(self.out / CHECKPOINT, state)
        logger.info("step %d: checkpoint written", self.step)
        if self.listener is not None:
            self.listener.checkpoint(self)

    def resume(self) -> None:
        """Go on from ``out/checkpoint.pt``.

        Raises:
            UsageError: there is none, or it belongs to other speakers or another preset.
        """
        state = read_checkpoint(self.out)
        if state["speakers"] != self.corpus.speakers or state["config"]["preset"] != self.config.preset:
            message = "was trained on other speakers or another preset: choose another --out"
            raise UsageError(f"{self.out / CHECKPOINT}: {message}")
        for name in ("trainee", "averaged", "discriminators", "optimizer", "judge"):
            getattr(self, name).load_state_dict(state[name])
        for name in ("step", "seconds", "prosodic_started", "history"):
            setattr(self, name, state[name])
        self.init = state.get("init", "")

    def start_from(self, base: Path) -> None:
        """Take the weights of the base in folder ``base``; optimisers, heads and discriminators start anew.

        The encoders are those the base was trained with, or where it lacks them the ones it is cloned with.

        Raises:
            UsageError: no base of this preset lies there.
            VoicecloneError: its files are damaged.
        """
        base = Path(base)
        config, encoder = preset(self.config.preset)
        weights = base / "model.safetensors"
        if not weights.is_file() or read_config(base / "config.json") != config:
            raise UsageError(f"--init {base}: is no trained base of preset {self.config.preset}: give its folder")
        pairs = [base / name for name in ("own_encoders.safetensors", "style_encoders.safetensors")]
        pair = load_style_encoders(next((p for p in pairs if p.is_file()), pairs[0]), StyleEncoderConfig(**encoder))
        state = read_state(weights)
        for trainee in (self.trainee, self.averaged):
            load_strictly(trainee.model, state, weights)
            trainee.encoders.load_state_dict(pair.state_dict())
        self.prosodic_started = True
        self.init = read_info(base).get("name", base.name)

    def _set_rate(self) -> None:
        done, config = self.progress, self.config
        fall = max(done - config.constant_share, 0.0) / max(1.0 - config.constant_share, 1e-9)
        factor = 0.03 + 0.97 * 0.5 * (1.0 + math.cos(math.pi * fall))
        factor *= min((self.step + 1) / max(config.warmup_steps, 1), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor
        for group in self.judge.param_groups:
            group["lr"] = config.discriminator_rate * max(factor, 0.2)

    def _update(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> bool:
        """Add up the team's gradients, clip, and step where they are finite; whether they were."""
        self.team.add_gradients(module)
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.config.clip)
        if not torch.isfinite(norm):
            self.bad_steps += 1
            logger.warning("step %d: the gradient is not finite, step left out", self.step)
            if self.bad_steps > MAX_BAD_STEPS:
                raise VoicecloneError(
                    f"training diverged at step {self.step}: lower the learning rate and resume from {self.out}"
                )
            return False
        optimizer.step()
        return True

    @torch.no_grad()
    def _average(self) -> None:
        # A young average forgets fast, or it would hold the random start.
        decay = min(0.5 ** (1.0 / self.config.ema_half_life), (1.0 + self.step) / (10.0 + self.step))
        ours, theirs = list(self.averaged.parameters()), list(self.trainee.parameters())
        torch._foreach_lerp_(ours, theirs, 1.0 - decay)
        # Buffers are copied: the mean of spectral norm's unit vectors is no unit vector, and the scale would be wrong.
        for mean, last in zip(self.averaged.buffers(), self.trainee.buffers(), strict=True):
            mean.copy_(last)

    def _report(self, terms: dict[str, float], step_seconds: float) -> None:
        rate = self.optimizer.param_groups[0]["lr"]
        left = (1.0 - self.progress) / max(self.progress, 1e-6) * self.seconds
        shown = " ".join(f"{name} {value:.3f}" for name, value in sorted(terms.items()))
        logger.info(
            "step %d (%.0f %%) %.2f s/step, %.0f min left, lr %.1e: %s",
            self.step, 100 * self.progress, step_seconds, left / 60, rate, shown,
        )  # fmt: skip
        self.history.append({"step": self.step, "seconds": self.seconds, **terms})
        if self.listener is not None:
            self.listener.scalars(self.step, {**terms, "learning_rate": rate})


def read_checkpoint(out: Path) -> dict[str, Any]:
    """Read ``out/checkpoint.pt``.

    Raises:
        UsageError: it is missing or damaged.
    """
    path = Path(out) / CHECKPOINT
    if not path.is_file():
        raise UsageError(f"{path}: no such file: train first, or leave out --resume")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UsageError(f"{path}: is damaged ({type(error).__name__}): delete it and train again") from error
