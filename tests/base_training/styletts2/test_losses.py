"""Losses and discriminators of StyleTTS2, compared with short reference implementations."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
import torch

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.discriminators import FULL_PERIODS, build_discriminators
from voiceclone.base_training.losses import relative_loss
from voiceclone.base_training.objective import smoothed
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings


def by_hand(better: list[float], worse: list[float], tau: float) -> float:
    margins = [b - w for b, w in zip(better, worse)]
    median = statistics.median_low(margins)
    short = [(m - median) ** 2 for m in margins if m < median]
    return min(sum(short) / len(short), tau) if short else 0.0


@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_relative_loss_equals_an_explicit_loop(scale):
    generator = torch.Generator().manual_seed(0)
    pairs = [[scale * torch.randn(1, n, generator=generator) for n in (31, 8)] for _ in range(2)]
    wanted = np.mean([by_hand(b[0].tolist(), w[0].tolist(), 0.04) for b, w in zip(*pairs)])
    assert relative_loss(*pairs).item() == pytest.approx(wanted, rel=1e-4)
    assert (wanted < 0.039) == (scale == 0.05)  # one within the cut, one beyond


def test_relative_loss_of_equal_scores_is_nothing_and_has_a_gradient():
    score = torch.ones(1, 6, requires_grad=True)
    loss = relative_loss([score], [torch.ones(1, 6)])
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(score.grad).all()


@pytest.mark.parametrize("samples", [9600, 9601, 12_347])
def test_full_discriminators_take_any_length(samples):
    judges = build_discriminators("full")
    assert [p.period for p in judges.parts[:5]] == list(FULL_PERIODS)
    scores, features = judges(torch.randn(2, samples))
    assert len(scores) == 8 and all(score.shape[0] == 2 and torch.isfinite(score).all() for score in scores)
    assert all(features)


def test_wide_discriminators_have_the_papers_size():
    with torch.device("meta"):
        judges = build_discriminators("full", wide=True)
    periods = sum(p.numel() for part in judges.parts[:5] for p in part.parameters())
    assert 38e6 < periods < 44e6


def test_augmentation_draws_the_papers_widths(corpus):
    settings = StyleTTS2Settings(augmentation="styletts2")
    config = TrainConfig(preset="tiny", steps=1, crop_frames=16, crop_batch=2, system_settings=settings)
    drawn = [BatchMaker(corpus, config).acoustic(step).smoothing for step in range(60)]
    assert {f0 for f0, _ in drawn} == {1, 3, 7} and {energy for _, energy in drawn} == {1, 3, 7, 15}


@pytest.mark.parametrize("width", [3, 7, 15])
def test_smoothing_leaves_unvoiced_frames_at_zero_and_voiced_ones_undiluted(width):
    curve = torch.full((1, 40), 120.0)
    curve[0, 15:22] = 0.0
    smooth = smoothed(curve, width, keep_zeros=True)
    assert torch.equal(smooth == 0, curve == 0)
    assert torch.allclose(smooth[curve > 0], torch.tensor(120.0))
