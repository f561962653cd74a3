"""Metrics of the synthesizer on held-out utterances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone.base_training.mamba_conv.batches import CodeBatch, CodeBatches
from voiceclone.base_training.mamba_conv.objective import predict_level, prepare
from voiceclone.base_training.mamba_conv.settings import MambaConvTraining
from voiceclone.models.mamba_conv.controller import is_enough
from voiceclone.models.mamba_conv.durations import duration_confidence
from voiceclone.models.mamba_conv.generation import Conditions, coarse_rounds
from voiceclone.models.mamba_conv.model import MambaConvTTS

MEASURED = 12  # maximum number of utterances
CALIBRATED = 4  # number of these on which stopping is measured
SHARES = (0.5, 1.0)  # fractions of masked tokens
TENTHS = 10


@torch.no_grad()
def token_figures(model: MambaConvTTS, batches: CodeBatches) -> dict[str, float]:
    """``tokens`` (cross-entropy of masked tokens, mean over levels and fractions) and ``accuracy_LEVEL`` (all masked).

    Empty without held-out utterances. The same tokens are masked at every call.
    """
    losses: list[float] = []
    right: dict[int, list[float]] = {level: [] for level in range(model.config.levels)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for batch in _batches(batches, model):
            prepared = _prepared(model, batch)
            for level in right:
                for share in SHARES:
                    hidden = torch.rand(prepared.codes[:, level].shape).to(prepared.codes.device) <= share
                    if not hidden.any():
                        continue
                    scores = predict_level(model.decoder, prepared, level, hidden)[1][hidden]
                    truth = prepared.codes[:, level][hidden]
                    losses.append(float(F.cross_entropy(scores, truth)))
                    if share == 1.0:
                        right[level].append(float((scores.argmax(-1) == truth).float().mean()))
    if not losses:
        return {}
    return {
        "tokens": round(float(np.mean(losses)), 5),
        **{f"accuracy_{level}": round(float(np.mean(found)), 5) for level, found in right.items()},
    }


@torch.no_grad()
def calibration_figures(model: MambaConvTTS, batches: CodeBatches, training: MambaConvTraining) -> dict[str, Any]:
    """Calibration of confidences and stopping; JSON-able, empty without held-out utterances.

    Returns:
        ``durations``: by decile of the confidence, lowest first, ``confidence``, the mean absolute ``error`` of the log
        duration and its ``expected`` value. ``codebook_use``: for each level, perplexity / size (0-1) of the codes of
        all utterances, because a few have too few frames for it. ``stopping``: ``rounds_saved`` by the controller for
        each text, and ``accuracy_lost``.
    """
    errors, scales, stopping = [], [], []
    for number, batch in enumerate(_batches(batches, model)):
        style = model.style(batch.style_mel)
        mask = batch.mask.unsqueeze(-1).float()
        log_duration, log_scale = model.durations(model.text(batch.tokens, style, mask), style, mask)
        errors.append((log_duration - batch.durations.clamp(min=1e-3).log()).abs()[batch.mask])
        scales.append(log_scale[batch.mask])
        prepared = _prepared(model, batch)
        if number < CALIBRATED:
            stopping.append(_stopping(model, prepared.given, prepared.codes, training))
    if not errors:
        return {}
    return {
        "durations": tenths(torch.cat(errors), torch.cat(scales)),
        "codebook_use": batches.cache.use,
        "stopping": {
            "rounds_saved": round(float(np.mean([saved for saved, _ in stopping])), 3),
            "accuracy_lost": round(float(np.mean([lost for _, lost in stopping])), 5),
        },
    }


def tenths(errors: Tensor, log_scales: Tensor) -> list[dict[str, float]]:
    """Errors of log durations by decile of the predicted confidence, lowest first.

    Args:
        errors: absolute errors of the log durations ``(N,)``.
        log_scales: predicted log scales of the Laplace distributions ``(N,)``.

    Returns:
        For each decile the mean ``confidence`` (0-1), the mean ``error`` and the ``expected`` error (the mean scale).
    """
    order = log_scales.argsort(descending=True)
    found = []
    for part in (part for part in order.tensor_split(TENTHS) if len(part)):
        found.append(
            {
                "confidence": round(float(duration_confidence(log_scales[part]).mean()), 4),
                "error": round(float(errors[part].mean()), 4),
                "expected": round(float(log_scales[part].exp().mean()), 4),
            }
        )
    return found


def _stopping(model: MambaConvTTS, given: Conditions, codes: Tensor, training: MambaConvTraining) -> tuple[int, float]:
    """Rounds that the controller saves in one generation, and the loss in accuracy of level 0."""
    settings = training.generation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rounds = list(coarse_rounds(model.decoder, given, settings))
    accuracy = [float((r.codes[:, 0] == codes[:, 0]).float().mean()) for r in rounds]
    for found in rounds[settings.min_rounds - 1 : -1]:
        go_on = float(model.controller(found.features, given.mask, given.context, found.figures).sigmoid().mean())
        if is_enough(go_on, float(found.figures[:, 1].mean()), found.number, settings.rounds):
            return settings.rounds - found.number, accuracy[-1] - accuracy[found.number - 1]
    return 0, 0.0


def _batches(batches: CodeBatches, model: MambaConvTTS) -> Sequence[CodeBatch]:
    device = next(model.parameters()).device
    indices = batches.validation[:: max(len(batches.validation) // MEASURED, 1)][:MEASURED]
    return [batches.fixed([index], frames=batches.config.prosody_frames).to(device) for index in indices]


def _prepared(model: MambaConvTTS, batch: CodeBatch) -> Any:
    style = model.style(batch.style_mel)
    return prepare(model, batch, style, style)[0]
