"""Prosody deviation of each clip from the voice's average, and a test of whether it is more than noise.

A deviation has two coefficients: how far the clip's mean F0 and length are from what the predictor gives for its text.
Each has a direction of the prosodic half that changes it alone. A clip does not determine more: eight principal
directions of the stock voices with all prosody losses, and the spread of F0 as a third part, were tried
(docs/lab_notes/expressive.md). Style encoders are not used: half of the variance of their output for a single clip
depends on its words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from voiceclone.alignment.durations import PAUSES
from voiceclone.audio.features import MIN_VOICED_HZ
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.projection.objective import Crop, Objective, Prediction
from voiceclone.projection.targets import AlignedTarget
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW

PARTS = ("pitch", "length")
"""Of a deviation: logarithms of mean F0 and of the duration of the phones."""
STEPS = 3
LONGEST_STEP = 0.3
"""Of a coefficient; beyond it the predictor is far from linear."""
LONGEST = 2.0
"""A phone longer than this many times its prediction ends in a pause without a mark, and counts as this long."""
REACH = 0.35
"""Natural log, six semitones: frames whose F0 differs more from the median difference are errors of the tracker."""
LEAST_VOICED = 20
"""Frames of F0 (12.5 ms) below which a half says nothing of pitch."""
ISOTROPIC = 0.01
"""Share of equal variance in all dimensions in the covariance of the stock voices, of which there may be few."""
LEAST_CORRELATION = 0.4
"""Minimum correlation of a coefficient fitted to the two halves of each clip; below it it is mostly noise."""
STANDARD_ERRORS = 2.0
"""By which the correlation must be above 0: with few clips more than ``LEAST_CORRELATION``."""
EXPLAINED = 3
"""Clips that the standard error does not count: those of the mean and of the regression on length, and one more."""
LEAST_CLIPS = 12
MIN_VOICES = 3


def prosodic_directions(objective: Objective, vector: Tensor, stock: Iterable[VoicePack]) -> Tensor:
    """Directions ``(2, 128)`` of the prosodic half, each of which changes one of :data:`PARTS` by 1 and no other.

    Of all such directions it is the shortest one by the stock voices' covariance: a deviated voice is as likely a voice
    as possible.

    Args:
        objective: holds the clips and the model; the predictor's gradient is averaged over the clips.
        vector: the voice ``(1, 256)``.
        stock: voices of the base.
    """
    vectors = torch.stack([pack.tensor[REFERENCE_ROW, 0, STYLE_DIM:] for pack in stock])
    vectors = vectors - vectors.mean(0)
    covariance = vectors.T @ vectors / max(len(vectors) - 1, 1)
    covariance = covariance + ISOTROPIC * covariance.diagonal().mean() * torch.eye(STYLE_DIM)
    gradient = torch.stack([_gradient(objective, vector, clip) for clip in range(len(objective.targets))]).mean(0)
    return torch.linalg.pinv(gradient @ covariance @ gradient.T, hermitian=True) @ gradient @ covariance


@torch.no_grad()
def fit_deviation(
    objective: Objective, vector: Tensor, clip: int, directions: Tensor, *, half: int | None = None
) -> Tensor:
    """Fit the coefficients ``(2,)`` with which the predictor matches a clip, or one half of its tokens.

    Args:
        objective: holds the clips and the model.
        vector: the voice ``(1, 256)``.
        clip: index of the clip.
        directions: of :func:`prosodic_directions`, ``(2, 128)``.
        half: 0 or 1; None for the whole clip.
    """
    target, row = objective.targets[clip], _row(objective, vector, clip)
    found = torch.zeros(len(directions))
    for _ in range(STEPS):  # Newton's method with the mean gradient, by which a direction's effect is its coefficient
        moved = torch.cat([row[:, :STYLE_DIM], row[:, STYLE_DIM:] + (found @ directions).to(row.device)], dim=1)
        missing = differences(objective.predict(moved, target), target, half).cpu()
        found = found + missing.clamp(-LONGEST_STEP, LONGEST_STEP)
    return found


def fit_deviations(
    objective: Objective, vector: Tensor, directions: Tensor, *, advance: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor]:
    """Deviations of every clip ``(n, 2)``, and of the halves of each ``(2, n, 2)``."""
    whole, halves = [], []
    for clip in range(len(objective.targets)):
        whole.append(fit_deviation(objective, vector, clip, directions))
        halves.append(torch.stack([fit_deviation(objective, vector, clip, directions, half=h) for h in (0, 1)]))
        advance()
    return torch.stack(whole), torch.stack(halves, dim=1)


def differences(prediction: Prediction, target: AlignedTarget, half: int | None = None) -> Tensor:
    """The clip's :data:`PARTS` minus the predicted ones, ``(2,)``, over all tokens or one half of them.

    The halves are the first and the second one rather than every other word: they share a single boundary, whose error
    makes one half longer and the other shorter.
    """
    durations = target.alignment.durations.to(prediction.soft.device)
    count, middle = len(durations), len(durations) // 2
    first, last = {None: (1, count - 1), 0: (1, middle), 1: (middle, count - 1)}[half]
    spoken = _sounding(target.text.symbols)[first - 1 : last - 1]
    soft, true = prediction.soft[first:last][spoken], durations[first:last][spoken]
    # At least one frame: a half may have no phone.
    length = torch.minimum(true, LONGEST * soft.detach()).sum().clamp(min=1.0).log() - soft.sum().clamp(min=1.0).log()
    frames = slice(2 * int(durations[:first].sum()), 2 * int(durations[:last].sum()))
    return torch.stack([_pitch_difference(prediction.f0[frames], target.f0[frames]), length])


def split_half_correlation(halves: Tensor, tokens: Tensor) -> Tensor:
    """Correlation ``(k,)`` of the halves' coefficients ``(2, n, k)`` over the clips of ``tokens`` ``(n,)``.

    The mean of each half is left out, because second halves of sentences differ from first ones in pitch. So is
    what the length of the text explains (:func:`without_length`).
    """
    first, second = (without_length(half, tokens) for half in halves)
    both = (first.square().sum(0) * second.square().sum(0)).sqrt()
    return (first * second).sum(0) / both.clamp(min=1e-12)


def without_length(coefficients: Tensor, tokens: Tensor) -> Tensor:
    """Coefficients ``(n, k)`` minus their regression on the logarithm of the number of tokens ``(n,)``.

    Short texts are often spoken faster or slower than predicted, in both halves. That is not a varying delivery, and a
    voice has rows for the length of the text.
    """
    known = torch.stack([torch.ones(len(tokens)), tokens.float().log()], dim=1)
    return coefficients - known @ torch.linalg.pinv(known) @ coefficients


def least_correlation(clips: int) -> float:
    """The correlation that a coefficient must have to be modelled.

    Among 12 clips without deviations, that of two standard errors, 0.67, is exceeded by one of the two parts in 3 of 40
    draws (docs/lab_notes/expressive.md).
    """
    return max(LEAST_CORRELATION, STANDARD_ERRORS / math.sqrt(max(clips - EXPLAINED, 1)))


def unsupported(clips: int, correlations: Mapping[str, float]) -> str | None:
    """The reason why the deviations cannot be modelled; None where one of them can."""
    if clips < LEAST_CLIPS:
        return f"{clips} clips are too few: {LEAST_CLIPS} at least"
    least = least_correlation(clips)
    if all(value < least for value in correlations.values()):
        found = ", ".join(f"{name} {value:.2f}" for name, value in correlations.items())
        return (
            f"the two halves of a clip do not agree ({found}; {least:.2f} is needed): the clips are read alike, or too "
            "short to tell"
        )
    return None


def repeatable(directions: Tensor, fitted: Tensor, tokens: Tensor, correlations: Tensor) -> tuple[Tensor, Tensor]:
    """The part of the deviations that is more than noise.

    Args:
        directions: ``(k, 128)``.
        fitted: coefficients of each clip ``(n, k)``.
        tokens: of each clip ``(n,)``.
        correlations: of the halves ``(k,)``.

    Returns:
        Directions ``(j, 128)`` of the coefficients that repeat, one standard deviation long, and these coefficients
        ``(n, j)`` with variance 1. The standard deviation is that of the fits without their noise: its square is
        multiplied by their reliability, which follows from the correlation of the halves (Spearman 1910, Brown 1910).
    """
    kept = correlations >= least_correlation(len(fitted))
    found, r = without_length(fitted[:, kept], tokens), correlations[kept]
    spread = found.std(0).clamp(min=1e-9)
    return (spread * (2.0 * r / (1.0 + r)).sqrt())[:, None] * directions[kept], found / spread


def _row(objective: Objective, vector: Tensor, clip: int) -> Tensor:
    return objective.rows(vector, [Crop(clip=clip, start=0)])[0].detach()


def _gradient(objective: Objective, vector: Tensor, clip: int) -> Tensor:
    """Gradient ``(2, 128)`` of the predicted :data:`PARTS` in the prosodic half."""
    target, row = objective.targets[clip], _row(objective, vector, clip).requires_grad_()
    missing = differences(objective.predict(row, target), target)
    each = [torch.autograd.grad(-value, row, retain_graph=True)[0][0, STYLE_DIM:] for value in missing]
    return torch.stack(each).cpu()


def _sounding(symbols: str) -> Tensor:
    """Mask ``(T - 2,)`` of the symbols that are phones, without the last one.

    Kokoro's last phone is about 13 frames long, because it contains silence, which is trimmed off the clips.
    """
    found = torch.tensor([symbol not in PAUSES for symbol in symbols])
    found[found.nonzero()[-1:]] = False
    return found


def _pitch_difference(predicted: Tensor, true: Tensor) -> Tensor:
    """True minus predicted mean log F0, from F0 in Hz ``(2F,)`` where both are voiced; 0 with too few such frames.

    Every half has its own median: with one for the whole clip, frames are left out of both halves on the same side.
    """
    both = (true > MIN_VOICED_HZ) & (predicted.detach() > MIN_VOICED_HZ)
    if both.sum() < LEAST_VOICED:
        return predicted.sum() * 0.0
    difference = true[both].log() - predicted[both].log()
    return difference[(difference - difference.detach().median()).abs() <= REACH].mean()
