"""Measurements of stage 2: a step against its lower bound, the naive loop, the random walk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from random_walk import Scored, random_walk
from torch import Tensor

from voiceclone.cloning.config import merge
from voiceclone.cloning.context import Run, open_run
from voiceclone.cloning.folder import RunFolder
from voiceclone.cloning.pipeline import prepare_training, style_stage
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.resemblyzer import required_resemblyzer
from voiceclone.projection.mlp import Projection
from voiceclone.projection.objective import Crop
from voiceclone.projection.trainer import ProjectionTrainer
from voiceclone.style.extraction import StyleVectors
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.pack import VoicePack

ROUNDS = 6
WALK_SENTENCES = 3
NAIVE_TIMES = 5  # the clone's seconds that the naive loop is given
WALK_TIMES = 20  # the clone's seconds that the random walk is given


@dataclass(eq=False)
class Watch:
    """Observer of the training: seconds since the start at every validated epoch, with the voice at that time."""

    started: float
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    vectors: list[Tensor] = field(default_factory=list)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Ignore single steps."""

    def epoch(self, record: dict[str, Any], trainer: ProjectionTrainer) -> None:
        """Note the time, the held-out loss and the voice, at the epochs that are validated."""
        if not record["validation"]:
            return
        self.seconds.append(time.perf_counter() - self.started)
        self.losses.append(record["validation"]["loss"])
        self.vectors.append(trainer.base_vector())


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A clone up to the first epoch of stage 2."""

    run: Run
    styles: StyleVectors
    trainer: ProjectionTrainer
    started: float


def prepare(base: str, data: Path, out: Path) -> Prepared:
    """Run everything that precedes the first epoch."""
    started = time.perf_counter()
    given = {"data": str(data), "name": "speed", "out": str(out), "base": base, "offline": True, "device": "cpu"}
    config = merge(given, {})
    run = open_run(config, RunFolder(config.folder), torch.device("cpu"), Reporter(verbosity=-1))
    styles = style_stage(run)
    return Prepared(run=run, styles=styles, trainer=prepare_training(run, styles, None), started=started)


def step(base: Path, data: Path) -> dict[str, float]:
    """A training step against forward and backward of the frozen decoder alone, on the same crops, in turns.

    The floor is the faster of two ways: all crops at once, or as many at once as the step takes. It is Kokoro's own
    decoder; the floor of the decoder as the step itself runs it (``voiceclone.models.fused``) is given beside it.
    """
    trainer = prepare(str(base), data, data.parent / "out").trainer
    generator = np.random.default_rng(0)
    steps, floors, fused_floors = [], [], []
    for number in range(ROUNDS + 1):
        crops = trainer.objective.random_crops(trainer.config.batch, generator)
        spent = timed(partial(trainer._step, crops, seed=0))
        ways = {len(crops), trainer.micro_batch}
        floor, fused_floor = (
            min(timed(partial(floor_pass, trainer, crops, way, lean)) for way in ways) for lean in (False, True)
        )
        if number:  # the first one builds what the libraries keep for these shapes
            steps.append(spent)
            floors.append(floor)
            fused_floors.append(fused_floor)
    return {
        "step_seconds": float(np.median(steps)), "floor_seconds": float(np.median(floors)),
        "ratio": float(np.median(np.array(steps) / np.array(floors))),
        "fused_floor_seconds": float(np.median(fused_floors)),
        "fused_ratio": float(np.median(np.array(steps) / np.array(fused_floors))),
    }  # fmt: skip


def floor_pass(trainer: ProjectionTrainer, crops: Sequence[Crop], micro_batch: int, lean: bool) -> None:
    """The minimum work of a step: the decoder's audio of the crops, and the gradient back to the voice."""
    leaf = trainer.state.anchor.clone().to(trainer.kokoro.device).requires_grad_()
    kokoro, usual = trainer.kokoro, (trainer.kokoro.fused, trainer.kokoro.convolutions)
    kokoro.fused, kokoro.convolutions = lean, usual[1] if lean else None  # else the blocks would be fused all the same
    for first in range(0, len(crops), micro_batch):
        part = crops[first : first + micro_batch]
        trainer.objective.speak_crops([leaf] * len(part), part).square().mean().backward()
    kokoro.fused, kokoro.convolutions = usual


def naive(data: Path, work: Path) -> dict[str, float | None]:
    """The default clone compared with a plain training loop, by the same held-out loss.

    The loop: the whole utterance through ``forward_with_tokens.__wrapped__`` (which is not under ``no_grad``), the mel
    error against the clip, both cut to the shorter one, an optimiser step a clip, from the mean stock voice.
    """
    prepared = prepare("nano", data, work / "out")
    trainer, watch = prepared.trainer, Watch(prepared.started)
    trainer.run(watch, lambda state: None)
    clone_seconds, reached = time.perf_counter() - prepared.started, watch.losses[-1]
    losses, seconds, epochs = _naive_loop(prepared, until=NAIVE_TIMES * clone_seconds, enough=reached)
    when = next((s for s, loss in zip(seconds, losses) if loss <= reached), None)
    return {
        "clone_seconds": clone_seconds, "clone_loss": reached, "naive_seconds": seconds[-1], "naive_epochs": epochs,
        "naive_loss": min(losses), "naive_reached_after": when,
        "ratio_at_least": (when or seconds[-1]) / clone_seconds,
    }  # fmt: skip


def _naive_loop(prepared: Prepared, *, until: float, enough: float) -> tuple[list[float], list[float], int]:
    trainer, kmodel = prepared.trainer, prepared.trainer.kokoro.kmodel
    projection = Projection(trainer.config.mlp)
    mean = torch.stack([pack.tensor[100] for pack in prepared.run.base.stock_voices.values()]).mean(0)
    projection.initialize_at(mean)
    optimizer = torch.optim.AdamW(projection.parameters(), lr=1e-3)
    forward = type(kmodel).forward_with_tokens.__wrapped__
    losses, seconds, epochs, started = [], [], 0, time.perf_counter()
    while time.perf_counter() - started < until:
        for target in trainer.train_targets:
            vector = projection(prepared.styles.mean)
            audio, _ = forward(kmodel, target.text.input_ids, vector, 1.0)
            length = min(audio.shape[-1], len(target.audio))
            log_mel = trainer.objective.log_mel
            error = log_mel(audio.reshape(1, -1)[:, :length]) - log_mel(target.audio[None, :length])
            optimizer.zero_grad()
            error.square().mean().backward()
            optimizer.step()
        epochs += 1
        projection.eval()
        with torch.no_grad():
            losses.append(trainer.validate(projection(prepared.styles.mean))["loss"])
        projection.train()
        seconds.append(time.perf_counter() - started)
        if losses[-1] <= enough:
            break
    return losses, seconds, epochs


def walk(data: Path, work: Path, seconds: float | None = None) -> dict[str, float | None]:
    """The clone against a random walk over the voice, scored by a speaker encoder (as kvoicewalk does).

    Both have the same score: similarity of free-running training sentences to the mean of the training clips. The ratio
    is that of the times at which either had the walk's best score: the clone's from the command's start on, the walk's
    from its first voice. There is none where the clone never has that score.
    """
    prepared = prepare("nano", data, work / "out")
    watch = Watch(prepared.started)
    score = _scorer(prepared)
    prepared.trainer.run(watch, lambda state: None)
    clone_seconds = time.perf_counter() - prepared.started
    seconds = seconds or WALK_TIMES * clone_seconds
    walked = random_walk(
        lambda pack, least: Scored(score=score(pack), target=1.0),
        prepared.run.base.stock_voices.values(),
        seconds=seconds,
    )
    profile = prepared.run.profile
    scores = [score(profile.expand(vector, "clone")) for vector in watch.vectors]
    when = next((s for s, value in zip(watch.seconds, scores) if value >= walked.score), None)
    return {
        "walk_seconds": seconds, "walk_voices": walked.count, "walk_similarity": walked.score,
        "walk_best_after": walked.found,
        "clone_seconds": clone_seconds, "clone_similarity": max(scores), "clone_reached_after": when,
        "ratio": None if when is None else walked.found / when,
    }  # fmt: skip


def _scorer(prepared: Prepared) -> Callable[[VoicePack], float]:
    encoder = required_resemblyzer()
    kokoro: FrozenKokoro = prepared.trainer.kokoro
    targets = prepared.trainer.train_targets
    wanted = np.mean([encoder.embed(target.audio.numpy()) for target in targets], axis=0)
    texts = sorted((target.text for target in targets), key=lambda text: text.tokens)[:WALK_SENTENCES]

    def score(pack: VoicePack) -> float:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            spoken = [kokoro.speak(text, pack.row(text.phoneme_count))[0].numpy() for text in texts]
        return float(np.mean([encoder.embed(audio) @ wanted for audio in spoken]) / np.linalg.norm(wanted))

    return score


def timed(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
