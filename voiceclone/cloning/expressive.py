"""Write the model of prosody deviations beside a finished voice, where the speaker's clips support it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from voiceclone.projection.deviation_sampler import choose_sampler
from voiceclone.projection.deviations import (
    LEAST_CLIPS,
    MIN_VOICES,
    PARTS,
    fit_deviations,
    prosodic_directions,
    repeatable,
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
        reason = unsupported(len(objective.targets), {})
    else:
        vector = base_vector.to(trainer.kokoro.device)
        directions = prosodic_directions(objective, vector, stock)
        with run.reporter.task("Fitting deliveries", total=len(objective.targets), unit="clip") as task:
            fitted, halves = fit_deviations(objective, vector, directions, advance=lambda: task.advance(1))
        tokens = torch.tensor([target.text.tokens for target in objective.targets])
        correlations = split_half_correlation(halves, tokens)
        facts["split_half_correlation"] = _by_part(correlations)
        reason = unsupported(len(fitted), dict(zip(PARTS, correlations.tolist(), strict=True)))
    if reason is not None:
        run.reporter.warn(f"no expressive voice: {reason}")
        return {**facts, "reason": reason}
    summaries = torch.stack([text_summary(trainer.kokoro.text_states(t.phonemes)) for t in objective.targets])
    varied, fitted = repeatable(directions, fitted, tokens, correlations)
    deviations, scores = choose_sampler(varied, fitted, summaries, seed=run.config.seed)
    deviations.save(path)
    spread = _by_part((varied @ torch.linalg.pinv(directions)).norm(dim=0))
    parts = ", ".join(f"{name} by {100.0 * value:.1f} %" for name, value in spread.items() if value)
    run.reporter.info(f"expressive voice: {path}, varies {parts}, drawn by {deviations.kind}")
    return {**facts, "spread": spread, "kind": deviations.kind, "energy_scores": scores}


def _by_part(values: Tensor) -> dict[str, float]:
    """Values ``(2,)`` by the part of a deviation that they belong to."""
    return {name: round(float(value), 3) for name, value in zip(PARTS, values, strict=True)}
