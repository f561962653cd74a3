"""Losses specific to VITS2. Those of the audio are shared by all systems."""

from __future__ import annotations

import torch
from torch import Tensor

from voiceclone.base_training.vits2.batches import Vits2Batch
from voiceclone.models.vits2.synthesizer import Posterior


def divergence(posterior: Posterior, mean: Tensor, log_scale: Tensor, log_determinant: Tensor) -> Tensor:
    """Kullback-Leibler divergence of posterior and prior at the sampled frames, in nats per frame.

    It is summed over channels.

    Args:
        posterior: with its sample.
        mean: of the prior in every frame, ``(B, channels, T)``.
        log_scale: log standard deviation of the prior, of the same shape.
        log_determinant: of the flow, ``(B,)``.
    """
    squares = 0.5 * (posterior.z_p - mean) ** 2 * torch.exp(-2 * log_scale)
    each = (log_scale - posterior.log_scale - 0.5 + squares) * posterior.mask
    return (each.sum() - log_determinant.sum()) / posterior.mask.sum()


def log_duration_error(predicted: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of log frames over tokens; inputs ``(B, 1, N)``."""
    return ((predicted - torch.log(frames.clamp(min=1.0))) ** 2 * mask).sum() / mask.sum()


@torch.no_grad()
def boundary_agreement(path: Tensor, batch: Vits2Batch, seconds: float) -> Tensor:
    """Fraction of token boundaries that lie within ``seconds`` of the corpus' boundaries.

    Args:
        path: ``(B, N, T)``.
        batch: with the corpus' durations.
        seconds: tolerance.
    """
    ours, theirs = path.sum(2).cumsum(1), batch.durations.cumsum(1)
    inner = torch.arange(path.shape[1], device=path.device)[None] < batch.lengths[:, None] - 1
    near = ((ours - theirs).abs() * batch.frame_seconds <= seconds + 1e-6) & inner
    return near.sum() / inner.sum().clamp(min=1)
