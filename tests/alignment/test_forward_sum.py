"""The sum over alignments and the best alignment, compared with brute force."""

import itertools

import numpy as np
import pytest
import torch

from voiceclone.alignment.forward_sum import best_path, even, posteriors


def alignments(states, frames):
    """All ways to assign ``frames`` frames to ``states`` states with at least one each: lengths of the states."""
    for cuts in itertools.combinations(range(1, frames), states - 1):
        yield np.diff([0, *cuts, frames])


def scores(likelihood):
    """Lengths and log-likelihood of every alignment of ``(N, T)``."""
    found = []
    for lengths in alignments(*likelihood.shape):
        spoken = np.repeat(np.arange(len(lengths)), lengths)
        found.append((lengths, spoken, float(likelihood[spoken, np.arange(len(spoken))].sum())))
    return found


def test_posteriors_equal_enumeration_and_ignore_padding():
    likelihood = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(0)) * 2
    states, frames = torch.tensor([4, 3]), torch.tensor([7, 5])
    found = posteriors(likelihood, states, frames)
    for row, (count, length) in enumerate(zip(states.tolist(), frames.tolist())):
        expected = np.zeros((4, 7))
        every = scores(likelihood[row, :count, :length].numpy().astype(np.float64))
        weights = np.exp([score for _, _, score in every])
        for (_, spoken, _), weight in zip(every, weights / weights.sum()):
            expected[spoken, np.arange(length)] += weight
        assert np.allclose(found[row].numpy(), expected, atol=1e-5)


def test_best_path_equals_enumeration():
    pytest.importorskip("monotonic_alignment_search")
    for seed in range(5):
        likelihood = torch.randn(4, 9, generator=torch.Generator().manual_seed(seed)) - 3
        best = max(scores(likelihood.numpy()), key=lambda entry: entry[2])
        assert best_path(likelihood).tolist() == best[0].tolist()
    with pytest.raises(ValueError, match="3 frames cannot hold 4 states"):
        best_path(likelihood[:, :3])


def test_even_alignment_gives_every_state_its_part():
    weights = even(torch.tensor([2, 3]), torch.tensor([6, 3]), 3, 6)
    assert weights.sum(2).tolist() == [[3, 3, 0], [1, 1, 1]]
    assert weights.sum(1).tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0]]
