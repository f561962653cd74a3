"""Soft durations agree with hard ones where the boundaries are sharp."""

from __future__ import annotations

import torch

from voiceclone.base_training.styletts2.soft_durations import soft_alignment, soft_durations
from voiceclone.models.frozen_kokoro import alignment_matrix


def sharp(durations: torch.Tensor, bins: int = 50) -> torch.Tensor:
    """Saturated logits of "longer than k frames"."""
    return torch.where(durations[..., None] > torch.arange(bins), 8.0, -8.0)


def test_columns_sum_to_one_and_agree_with_the_hard_alignment():
    generator = torch.Generator().manual_seed(0)
    durations = torch.randint(1, 9, (4, 40), generator=generator)
    mask = torch.ones(4, 40, dtype=torch.bool)
    soft = soft_durations(sharp(durations), mask)
    assert torch.allclose(soft, durations.float(), atol=0.05)
    for row in range(4):
        hard = alignment_matrix(durations[row])
        ours = soft_alignment(soft[row : row + 1], mask[:1], hard.shape[1])[0]
        assert torch.allclose(ours.sum(0), torch.ones(hard.shape[1]), atol=1e-5)
        assert (ours.argmax(0) == hard.argmax(0)).float().mean() >= 0.85


def test_every_token_has_a_gradient_and_padding_has_none():
    logits = sharp(torch.tensor([[3, 1, 5, 2, 0, 0]])).mul(0.3).requires_grad_(True)
    mask = torch.tensor([[True] * 4 + [False] * 2])
    alignment = soft_alignment(soft_durations(logits, mask), mask, 11)
    assert alignment[0, 4:].abs().max() == 0
    (alignment * torch.randn(1, 6, 11)).sum().backward()
    moved = logits.grad.abs().sum(-1)[0]
    assert (moved[:4] > 0).all() and (moved[4:] == 0).all()
