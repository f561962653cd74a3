"""Named terms and their gradient in the voice, a few crops at a time: memory need not grow with the batch."""

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


def crops_at_once(kokoro: FrozenKokoro, batch: int) -> int:
    """How many crops go through the decoder together: all, but two for a large model on a CPU.

    With fused blocks two crops of 1.2 s at once cost the real Kokoro about 0.15 GiB more than one, four 1 GiB more than
    two. Two by two is 13 % faster for it than one by one (two threads), and hardly slower than all four.
    """
    large = sum(parameter.numel() for parameter in kokoro.kmodel.decoder.parameters()) > LARGE
    return min(2, batch) if large and kokoro.device.type == "cpu" else batch


def mean_terms(terms_of: TermsOf, vector: Tensor, crops: Sequence[Crop], at_once: int) -> dict[str, Tensor]:
    """Every named term of ``vector`` ``(1, 256)``, averaged over the crops; without a gradient."""
    sums: dict[str, Tensor] = {}
    with torch.no_grad():
        for part, share in _parts(crops, at_once):
            _add(sums, {name: value * share for name, value in terms_of(vector, part).items()})
    return sums


def term_gradients(
    terms_of: TermsOf, vector: Tensor, crops: Sequence[Crop], weights: LossWeights, at_once: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The same means, and the gradient ``(1, 256)`` of their weighted sum: that of one pass, up to rounding."""
    leaf, sums = vector.detach().requires_grad_(), {}
    for part, share in _parts(crops, at_once):
        terms = {name: value * share for name, value in terms_of(leaf, part).items()}
        losses.total(terms, weights).backward()
        _add(sums, {name: value.detach() for name, value in terms.items()})
    return sums, torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _parts(crops: Sequence[Crop], at_once: int) -> Iterator[tuple[Sequence[Crop], float]]:
    """Crops in a row and their share of all."""
    for first in range(0, len(crops), at_once):
        part = crops[first : first + at_once]
        yield part, len(part) / len(crops)


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor]) -> None:
    for name, value in terms.items():
        sums[name] = sums[name] + value if name in sums else value
