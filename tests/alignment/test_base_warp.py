"""Dynamic time warping transfers phone boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.alignment.base_warp import align_to_synthesis
from voiceclone.alignment.durations import whole_frames


@given(
    frames=st.integers(1, 80),
    boundaries=st.lists(st.floats(-20, 120, allow_nan=False), max_size=40).map(sorted),
)
@settings(max_examples=200, deadline=None)
def test_whole_frames_are_at_least_one_and_sum_up(frames: int, boundaries: list[float]) -> None:
    if frames < len(boundaries) + 1:
        return
    durations = whole_frames(np.array([0.0, *boundaries, frames]), frames)
    assert len(durations) == len(boundaries) + 1
    assert durations.min() >= 1 and durations.sum() == frames


def phones(durations: list[int], seed: int = 0) -> torch.Tensor:
    """A mel ``(80, 2F)`` in which each phone has a constant spectrum plus a little noise."""
    generator = torch.Generator().manual_seed(seed)
    spectra = torch.randn(80, len(durations), generator=torch.Generator().manual_seed(99))
    mel = torch.cat([spectra[:, i : i + 1].expand(-1, 2 * d) for i, d in enumerate(durations)], dim=1)
    return mel + 0.05 * torch.randn(mel.shape, generator=generator)


def test_boundaries_are_found_within_a_frame() -> None:
    spoken, true = [4, 3, 6, 2, 5, 4], [7, 2, 4, 5, 3, 8]
    found = align_to_synthesis(phones(spoken), torch.tensor(spoken), phones(true, seed=1))
    error = np.abs(np.cumsum(found.durations.numpy()) - np.cumsum(true))
    assert error.max() <= 1
    assert found.score > 0.9


def test_level_and_equalisation_do_not_move_boundaries_and_another_text_scores_low() -> None:
    spoken, true = [4, 3, 6, 2, 5, 4], [7, 2, 4, 5, 3, 8]
    target = phones(true, seed=1)
    plain = align_to_synthesis(phones(spoken), torch.tensor(spoken), target)
    coloured = align_to_synthesis(phones(spoken), torch.tensor(spoken), target + torch.linspace(-2, 2, 80)[:, None])
    assert torch.equal(plain.durations, coloured.durations)
    noise = torch.randn(80, target.shape[1], generator=torch.Generator().manual_seed(5))
    assert align_to_synthesis(phones(spoken), torch.tensor(spoken), noise).score < plain.score - 0.4


def test_phone_posteriors_find_boundaries_that_mels_miss() -> None:
    """The clip's mel is noise, as for a very different voice; the phone posteriors of both are unambiguous."""
    spoken, true = [4, 3, 6, 2, 5, 4], [7, 2, 4, 5, 3, 8]
    noise = torch.randn(80, 2 * sum(true), generator=torch.Generator().manual_seed(5))
    posteriors = tuple(
        torch.repeat_interleave(0.94 * torch.eye(6) + 0.01, torch.tensor(d), dim=1) for d in (spoken, true)
    )
    errors = []
    for used in (None, posteriors):
        found = align_to_synthesis(phones(spoken), torch.tensor(spoken), noise, used)
        errors.append(np.abs(np.cumsum(found.durations.numpy()) - np.cumsum(true)).max())
    assert errors[0] > errors[1] == 0


def test_too_short_a_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        align_to_synthesis(phones([2, 2, 2]), torch.tensor([2, 2, 2]), torch.zeros(80, 4))
