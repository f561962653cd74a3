"""Residual vector quantizer (Zeghidour et al. 2021) with codebooks updated by exponential moving averages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

DECAY = 0.99  # decay of the moving averages per batch
# decay of the moving average of code use; a code is replaced if used less than this fraction of the mean
USE_DECAY, DEAD = 0.95, 0.03
LOW_USE = 0.3  # codebook use (perplexity / size) below which a warning is given


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """Result of a quantization."""

    vectors: Tensor = field(repr=False)
    """Sum of the codes, ``(B, latent, T)``, with a straight-through gradient."""
    codes: Tensor = field(repr=False)
    """int64 ``(B, levels, T)``."""
    commitment: Tensor = field(repr=False)
    """Mean squared distance of each level's input to its code, averaged over the levels."""


class ResidualQuantizer(nn.Module):
    """Each level quantizes the residual of the previous levels.

    The codebooks are buffers: they get no gradient, and an average of the weights copies them.
    """

    codebooks: Tensor
    counts: Tensor
    sums: Tensor
    use: Tensor

    def __init__(self, levels: int, size: int, latent: int) -> None:
        super().__init__()
        self.levels, self.size = levels, size
        self.codebooks: Tensor
        self.sums: Tensor
        self.register_buffer("codebooks", torch.randn(levels, size, latent) / latent**0.5)
        self.register_buffer("counts", torch.ones(levels, size))
        self.register_buffer("sums", self.codebooks.clone())
        self.register_buffer("use", torch.ones(levels, size))

    def nearest(self, residual: Tensor, level: int) -> Tensor:
        """Codes ``(M,)`` of vectors ``(M, latent)``."""
        book = self.codebooks[level]
        # |r - c|² without |r|², which is the same for all codes.
        return (book.square().sum(1) - 2.0 * residual @ book.T).argmin(dim=1)

    def encode(self, latent: Tensor) -> Tensor:
        """Vectors ``(B, latent, T)`` to codes ``(B, levels, T)``."""
        residual, codes = latent.mT.flatten(0, 1), []
        for level in range(self.levels):
            codes.append(self.nearest(residual, level))
            residual = residual - self.codebooks[level][codes[-1]]
        return torch.stack(codes, dim=1).unflatten(0, (latent.shape[0], -1)).mT

    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, levels, T)`` to vectors ``(B, latent, T)``. With fewer levels the result is coarser."""
        return sum(self.codebooks[level][own] for level, own in enumerate(codes.unbind(1))).mT

    def forward(
        self,
        latent: Tensor,
        *,
        used: int | None = None,
        reduce: Callable[[Tensor], Tensor] = lambda x: x,
        process: tuple[int, int] = (0, 1),
    ) -> Quantized:
        """Quantize ``(B, latent, T)`` with the first ``used`` levels. In training the codebooks are updated.

        Args:
            latent: vectors.
            used: number of levels; all when None.
            reduce: sums a tensor over the processes that train together.
            process: number of this process, and how many train together.
        """
        used = self.levels if used is None else used
        residual = latent.mT.flatten(0, 1)
        total, codes, commitment = torch.zeros_like(residual), [], latent.new_zeros(())
        for level in range(used):
            chosen = self.nearest(residual.detach(), level)
            vectors = self.codebooks[level][chosen]
            # Computed on the residual itself: with the straight-through value, only the commitment of the first level
            # would have a gradient.
            commitment = commitment + (residual - vectors).square().mean()
            if self.training:
                self._follow(residual.detach(), chosen, level, reduce, process)
            residual, total = residual - vectors, total + vectors
            codes.append(chosen)
        vectors = total.unflatten(0, (latent.shape[0], -1)).mT
        return Quantized(
            vectors=latent + (vectors - latent).detach(),
            codes=torch.stack(codes, dim=1).unflatten(0, (latent.shape[0], -1)).mT,
            commitment=commitment / used,
        )

    @torch.no_grad()
    def _follow(
        self,
        residual: Tensor,
        chosen: Tensor,
        level: int,
        reduce: Callable[[Tensor], Tensor],
        process: tuple[int, int],
    ) -> None:
        book = self.codebooks.clone()  # cloned, because the forward pass refers to the old one
        used = residual.new_zeros(self.size).index_add_(0, chosen, residual.new_ones(len(chosen)))
        summed = torch.zeros_like(book[level]).index_add_(0, chosen, residual)
        used, summed = reduce(used), reduce(summed)
        counts = self.counts[level].lerp(used, 1.0 - DECAY)
        sums = self.sums[level].lerp(summed, 1.0 - DECAY)
        book[level] = sums / counts.clamp(min=1e-3)[:, None]
        use = self.use[level].lerp(used, 1.0 - USE_DECAY)
        dead = use < DEAD * use.mean()
        # A candidate for every code, even if it is not needed, so that all processes run the same operations. Each is
        # the vector of one process: a mean over the processes would lie near the centre, where no vectors are.
        offered = residual[torch.randint(len(residual), (self.size,), device=residual.device)]
        number, count = process
        ours = torch.arange(self.size, device=residual.device) % count == number
        offered = reduce(offered * ours[:, None])
        book[level] = torch.where(dead[:, None], offered, book[level])
        mean = counts.mean()
        counts = torch.where(dead, mean, counts)
        self.sums[level] = torch.where(dead[:, None], offered * mean, sums)
        self.counts[level] = counts
        self.use[level] = torch.where(dead, use.mean(), use)
        self.codebooks = book

    @torch.no_grad()
    def set_codebook(self, level: int, book: Tensor) -> None:
        """Initialize a level with vectors ``(size, latent)``."""
        books = self.codebooks.clone()
        books[level] = book
        self.codebooks = books
        self.sums[level], self.counts[level] = book * self.counts[level][:, None], self.counts[level]


def codebook_use(codes: Tensor, size: int) -> Tensor:
    """Codebook use of each level, ``(levels,)``: perplexity of its codes / size, 0-1.

    The perplexity is the exponential of the entropy of the codes' frequencies: of a codebook of which k codes occur
    equally often, and the others never, k. It is too low where there are few frames per code.

    Args:
        codes: int64 ``(B, levels, T)``.
        size: of each codebook.
    """
    shares = []
    for own in codes.unbind(1):
        share = torch.bincount(own.flatten(), minlength=size).double()
        share = share / share.sum().clamp(min=1)
        shares.append(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()) / size)
    return torch.stack(shares).float()
