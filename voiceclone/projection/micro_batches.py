"""Loss terms and their gradient, accumulated over micro-batches to bound memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.objective import Crop

LARGE = 20_000_000  # number of decoder parameters from which micro-batches of two crops are used on a CPU

TermsOf = Callable[[Tensor, Sequence[Crop]], Mapping[str, Tensor]]  # base vector (1, 256) and crops to named means


def micro_batch_size(kokoro: FrozenKokoro, batch: int) -> int:
    """Number of crops in a micro-batch: the whole batch, but two for a large model on a CPU.

    With fused blocks and Kokoro-82M, a micro-batch of two crops of 1.2 s uses 0.15 GiB more memory than one crop, and
    one of four uses 1 GiB more than two. Micro-batches of two are 13 % faster than of one (two threads), and hardly
    slower than of four.
    """
    large = sum(parameter.numel() for parameter in kokoro.kmodel.decoder.parameters()) > LARGE
    return min(2, batch) if large and kokoro.device.type == "cpu" else batch


def mean_terms(terms_of: TermsOf, vector: Tensor, crops: Sequence[Crop], micro_batch: int) -> dict[str, Tensor]:
    """Mean of every named term for ``vector`` ``(1, 256)`` over the crops, without gradient."""
    sums: dict[str, Tensor] = {}
    with torch.no_grad():
        for part, share in _micro_batches(crops, micro_batch):
            _add(sums, {name: value * share for name, value in terms_of(vector, part).items()})
    return sums


def term_gradients(
    terms_of: TermsOf, vector: Tensor, crops: Sequence[Crop], weights: LossWeights, micro_batch: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The same means, and the gradient ``(1, 256)`` of their weighted sum, as for one batch up to rounding."""
    leaf = vector.detach().requires_grad_()
    sums: dict[str, Tensor] = {}
    for part, share in _micro_batches(crops, micro_batch):
        terms = {name: value * share for name, value in terms_of(leaf, part).items()}
        losses.total(terms, weights).backward()
        _add(sums, {name: value.detach() for name, value in terms.items()})
    return sums, torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _micro_batches(crops: Sequence[Crop], micro_batch: int) -> Iterator[tuple[Sequence[Crop], float]]:
    """The crops of each micro-batch and their fraction of the batch."""
    for first in range(0, len(crops), micro_batch):
        part = crops[first : first + micro_batch]
        yield part, len(part) / len(crops)


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor]) -> None:
    for name, value in terms.items():
        sums[name] = sums[name] + value if name in sums else value
