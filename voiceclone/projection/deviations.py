"""Prosody deviation of each clip from the voice's average, and a test of whether it is more than noise.

A deviation is a few coefficients along directions of the prosodic half, fitted through the predictor to the clip's
durations, F0 and energy. Style encoders are not used: half of the variance of their output for a single clip depends on
its words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.objective import Crop, Objective, Prediction
from voiceclone.projection.targets import AlignedTarget
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW

RANK = 8
STEPS, RATE = 30, 0.15
RIDGE = 0.02
"""Weight of the squared coefficients, in units of the stock voices' standard deviation."""
LEAST_CORRELATION = 0.4
"""Minimum correlation of the deviations fitted to the two halves of each clip; below it they are mostly noise."""
LEAST_CLIPS = 12
MIN_VOICES = 3


def prosodic_directions(stock: Iterable[VoicePack], rank: int = RANK) -> Tensor:
    """Principal components ``(k, 128)`` of the stock voices' prosodic halves, scaled to one standard deviation."""
    vectors = torch.stack([pack.tensor[REFERENCE_ROW, 0, STYLE_DIM:] for pack in stock])
    _, sizes, directions = torch.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    kept = min(rank, len(vectors) - 1)
    return sizes[:kept, None] / max(len(vectors) - 1, 1) ** 0.5 * directions[:kept]


def fit_deviation(
    objective: Objective, vector: Tensor, clip: int, directions: Tensor, *, half: int | None = None
) -> Tensor:
    """Fit the coefficients ``(k,)`` with which the predictor matches a clip, or one half of its tokens, best.

    Args:
        objective: holds the clips and the model.
        vector: the voice ``(1, 256)``.
        clip: index of the clip.
        directions: ``(k, 128)``.
        half: 0 or 1; None for the whole clip.
    """
    target = objective.targets[clip]
    row = objective.rows(vector, [Crop(clip=clip, start=0)])[0].detach()
    found = torch.zeros(len(directions), device=row.device, requires_grad=True)
    optimizer = torch.optim.Adam([found], lr=RATE)
    weights = LossWeights()
    for _ in range(STEPS):
        moved = torch.cat([row[:, :STYLE_DIM], row[:, STYLE_DIM:] + found @ directions.to(row.device)], dim=1)
        terms = _terms(objective.predict(moved, target), target, half)
        loss = losses.total(terms, weights) + RIDGE * found.square().sum()
        (found.grad,) = torch.autograd.grad(loss, [found])
        optimizer.step()
    return found.detach().cpu()


def fit_deviations(
    objective: Objective, vector: Tensor, directions: Tensor, *, advance: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor]:
    """Deviations of every clip ``(n, k)``, and of the halves of each ``(2, n, k)``."""
    whole, halves = [], []
    for clip in range(len(objective.targets)):
        whole.append(fit_deviation(objective, vector, clip, directions))
        halves.append(torch.stack([fit_deviation(objective, vector, clip, directions, half=h) for h in (0, 1)]))
        advance()
    return torch.stack(whole), torch.stack(halves, dim=1)


def split_half_correlation(halves: Tensor) -> float:
    """Correlation of the halves' deviations ``(2, n, k)`` over the clips, pooled over all directions.

    Each half's mean is subtracted first, because second halves of sentences differ from first ones in pitch and level.
    """
    first, second = halves - halves.mean(dim=1, keepdim=True)
    both = (first.square().sum() * second.square().sum()).sqrt()
    return float((first * second).sum() / both.clamp(min=1e-12))


def unsupported(clips: int, correlation: float) -> str | None:
    """The reason why the deviations cannot be modelled; None where they can."""
    if clips < LEAST_CLIPS:
        return f"{clips} clips are too few: {LEAST_CLIPS} at least"
    if correlation < LEAST_CORRELATION:
        return (
            f"the two halves of a clip agree by {correlation:.2f} only ({LEAST_CORRELATION} is needed): the clips are "
            "read alike, or too short to tell"
        )
    return None


def _terms(prediction: Prediction, target: AlignedTarget, half: int | None) -> dict[str, Tensor]:
    """The prosody loss terms over all tokens, or over the first or second half of them."""
    durations = target.alignment.durations.to(prediction.soft.device)
    count, middle = len(durations), len(durations) // 2
    first, last = {None: (0, count), 0: (0, middle + 1), 1: (middle - 1, count)}[half]
    frames = slice(2 * int(durations[:first].sum()), 2 * int(durations[:last].sum()))
    return {
        **losses.duration_terms(prediction.soft[first:last], durations[first:last]),
        **losses.f0_terms(prediction.f0[frames], target.f0[frames]),
        "energy": losses.energy_term(prediction.energy[frames], target.energy[frames]),
    }
