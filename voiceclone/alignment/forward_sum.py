"""Monotonic alignment of states to frames: the sum over all alignments, and the best one.

The sum is the forward-backward algorithm of hidden Markov models, which Glow-TTS's and RAD-TTS's aligners train by too
(Kim et al. 2020; Shih et al. 2021); the best alignment is monotonic alignment search.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voiceclone.models.monotonic import best_paths


@torch.no_grad()
def posteriors(log_likelihood: Tensor, states: Tensor, frames: Tensor) -> Tensor:
    """Posterior probability of every state in every frame, over all monotonic alignments that skip no state.

    Args:
        log_likelihood: float ``(B, N, T)``, of frame t in state n.
        states: int64 ``(B,)``, number of states of each item; at most its number of frames.
        frames: int64 ``(B,)``, number of frames of each item.

    Returns:
        ``(B, N, T)``; sums over N to 1 in each valid frame and to 0 in the padding.
    """
    batch, most, longest = log_likelihood.shape
    backwards = _reversed(_reversed(log_likelihood, states, 1), frames, 2)
    both = torch.cat([log_likelihood, backwards])
    sums = both.new_full((2 * batch, most), -torch.inf)
    sums[:, 0] = both[:, 0, 0]
    history = [sums]
    start = both.new_full((2 * batch, 1), -torch.inf)
    for frame in range(1, longest):
        sums = torch.logaddexp(sums, torch.cat([start, sums[:, :-1]], 1)) + both[:, :, frame]
        history.append(sums)
    forward, backward = torch.stack(history, 2).chunk(2)
    joint = forward + _reversed(_reversed(backward, states, 1), frames, 2) - log_likelihood
    real = _upto(states, most)[:, :, None] & _upto(frames, longest)[:, None, :]
    return torch.softmax(joint.masked_fill(~real, -1e9), dim=1) * real


def even(states: Tensor, frames: Tensor, most: int, longest: int) -> Tensor:
    """Uniform alignment, all states of equal length, as probabilities ``(B, most, longest)``: the initialization."""
    position = torch.arange(longest, device=states.device)[None] * states[:, None] // frames[:, None]
    one_hot = position[:, None, :] == torch.arange(most, device=states.device)[None, :, None]
    return (one_hot & _upto(frames, longest)[:, None, :]).float()


def best_path(log_likelihood: Tensor) -> Tensor:
    """Number of frames of every state in the most likely alignment, int64 ``(N,)``, for one utterance's ``(N, T)``.

    Raises:
        ValueError: there are fewer frames than states.
    """
    states, frames = (torch.tensor([size]) for size in log_likelihood.shape)
    return best_paths(log_likelihood[None], states, frames)[0].sum(1).long()


def _upto(lengths: Tensor, most: int) -> Tensor:
    return torch.arange(most, device=lengths.device)[None] < lengths[:, None]


def _reversed(values: Tensor, lengths: Tensor, dim: int) -> Tensor:
    """Reverse each item ``(N, T)`` within its length along ``dim``; values in the padding are undefined."""
    index = (lengths[:, None] - 1 - torch.arange(values.shape[dim], device=values.device)[None]).clamp(min=0)
    index = index[:, :, None] if dim == 1 else index[:, None, :]
    return torch.gather(values, dim, index.expand_as(values))
