"""Named terms and their gradient in the voice, accumulated over micro-batches: memory need not grow with the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.projection import losses
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.objective import Crop

LARGE = 20_000_000  # parameters of a decoder whose crops are taken two by two on a CPU

TermsOf = Callable[[Tensor, Sequence[Crop]], Mapping[str, Tensor]]  # base vector (1, 256) and crops to named means


def micro_batch_size(kokoro: FrozenKokoro, batch: int) -> int:
    """Crops in a micro-batch: the whole batch, but two for a large model on a CPU.

    With fused blocks a micro-batch of two crops of 1.2 s costs the real Kokoro about 0.15 GiB more than a single crop,
    one of four 1 GiB more than two. Two by two is 13 % faster for it than one by one (two threads), and hardly slower
    than all four.
    """
    large = sum(parameter.numel() for parameter in kokoro.kmodel.decoder.parameters()) > LARGE
    return min(2, batch) if large and kokoro.device.type == "cpu" else batch


def mean_terms(terms_of: TermsOf, vector: Tensor, crops: Sequence[Crop], micro_batch: int) -> dict[str, Tensor]:
    """Every named term of ``vector`` ``(1, 256)``, averaged over the crops; without a gradient."""
    sums: dict[str, Tensor] = {}
    with torch.no_grad():
        for part, share in _micro_batches(crops, micro_batch):
            _add(sums, {name: value * share for name, value in terms_of(vector, part).items()})
    return sums


def term_gradients(
    terms_of: TermsOf, vector: Tensor, crops: Sequence[Crop], weights: LossWeights, micro_batch: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The same means, and the gradient ``(1, 256)`` of their weighted sum: that of one batch, up to rounding."""
    leaf = vector.detach().requires_grad_()
    sums: dict[str, Tensor] = {}
    for part, share in _micro_batches(crops, micro_batch):
        terms = {name: value * share for name, value in terms_of(leaf, part).items()}
        losses.total(terms, weights).backward()
        _add(sums, {name: value.detach() for name, value in terms.items()})
    return sums, torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _micro_batches(crops: Sequence[Crop], micro_batch: int) -> Iterator[tuple[Sequence[Crop], float]]:
    """The crops of each micro-batch and their share of the batch."""
    for first in range(0, len(crops), micro_batch):
        part = crops[first : first + micro_batch]
        yield part, len(part) / len(crops)


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor]) -> None:
    for name, value in terms.items():
        sums[name] = sums[name] + value if name in sums else value
