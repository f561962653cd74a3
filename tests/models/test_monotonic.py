"""Monotonic alignment search gives the best of all alignments, in both implementations."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
from torch import Tensor

from voiceclone.models.monotonic import best_paths


def brute_force(value: Tensor, tokens: int, frames: int) -> float:
    """The likelihood of the best of all ways through ``tokens`` tokens in ``frames`` frames."""
    best = -float("inf")
    for ends in itertools.combinations(range(1, frames), tokens - 1):
        bounds = (0, *ends, frames)
        best = max(best, sum(float(value[n, bounds[n] : bounds[n + 1]].sum()) for n in range(tokens)))
    return best


@pytest.mark.parametrize("package", [True, False])
def test_the_path_is_the_best_of_all(monkeypatch: pytest.MonkeyPatch, package: bool) -> None:
    if package:
        pytest.importorskip("monotonic_alignment_search")
    else:
        monkeypatch.setitem(sys.modules, "monotonic_alignment_search", None)
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        tokens = torch.randint(1, 6, (4,), generator=generator)
        frames = torch.tensor([int(torch.randint(int(n), 9, (), generator=generator)) for n in tokens])
        value = torch.randn(4, 5, 8, generator=generator)
        for row in range(4):  # values in the padding must have no effect, even large ones
            value[row, tokens[row] :] = value[row, :, frames[row] :] = 1e4
        paths = best_paths(value, tokens, frames)
        for path, scores, n, t in zip(paths, value, tokens.tolist(), frames.tolist(), strict=True):
            assert path.sum() == t and (path[:, :t].sum(0) == 1).all() and (path[:n].sum(1) >= 1).all()
            place = path[:, :t].argmax(0)
            assert place[0] == 0 and place[-1] == n - 1 and set(place.diff().tolist()) <= {0, 1}
            assert float((path * scores)[:n, :t].sum()) == pytest.approx(brute_force(scores, n, t), abs=1e-4)


def test_fewer_frames_than_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="3 frames cannot hold 4 states"):
        best_paths(torch.zeros(2, 4, 5), torch.tensor([4, 4]), torch.tensor([5, 3]))
