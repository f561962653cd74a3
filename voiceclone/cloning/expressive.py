"""Write the model of prosody deviations beside a finished voice, where the speaker's clips support it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from voiceclone.projection.deviation_sampler import choose_sampler
from voiceclone.projection.deviations import (
    LEAST_CLIPS,
    MIN_VOICES,
    fit_deviations,
    prosodic_directions,
    split_half_correlation,
    unsupported,
)
from voiceclone.voice.expressive import deviations_beside, text_summary

if TYPE_CHECKING:
    from voiceclone.cloning.context import Run
    from voiceclone.projection.trainer import ProjectionTrainer


def write_expressive(run: Run, trainer: ProjectionTrainer, base_vector: Tensor) -> dict[str, Any]:
    """Fit and test the deviations, and write ``NAME.style.safetensors``.

    Returns:
        Entries for the report. If the clips do not support it, no file is written and the reason is reported.
    """
    path = deviations_beside(run.folder.voice)
    path.unlink(missing_ok=True)  # left by an earlier voice
    if not run.config.expressive:
        return {}
    objective, stock = trainer.objective, list(run.base.stock_voices.values())
    facts: dict[str, Any] = {"clips": len(objective.targets)}
    if len(stock) < MIN_VOICES:
        reason: str | None = f"{run.base.title} has {len(stock)} stock voices, {MIN_VOICES} at least are needed"
    elif len(objective.targets) < LEAST_CLIPS:
        reason = unsupported(len(objective.targets), 1.0)
    else:
        directions = prosodic_directions(stock)
        with run.reporter.task("Fitting deliveries", total=len(objective.targets), unit="clip") as task:
            vector = base_vector.to(trainer.kokoro.device)
            fitted, halves = fit_deviations(objective, vector, directions, advance=lambda: task.advance(1))
        correlation = split_half_correlation(halves)
        facts["split_half_correlation"] = round(correlation, 3)
        reason = unsupported(len(fitted), correlation)
    if reason is not None:
        run.reporter.warn(f"no expressive voice: {reason}")
        return {**facts, "reason": reason}
    summaries = torch.stack([text_summary(trainer.kokoro.text_states(t.phonemes)) for t in objective.targets])
    deviations, scores = choose_sampler(directions, fitted, summaries, seed=run.config.seed)
    deviations.save(path)
    run.reporter.info(f"expressive voice: {path}, drawn by {deviations.kind}")
    return {**facts, "kind": deviations.kind, "energy_scores": scores}
