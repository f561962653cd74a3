"""Tensors of one training batch, or of one process' rows of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

_Batch = TypeVar("_Batch", bound="Batch")


@dataclass(frozen=True, kw_only=True)
class Share:
    """Fraction of the whole batch that these rows are.

    Means over the rows, times this fraction, sum to the batch's mean.
    """

    rows: float = 1.0
    tokens: float = 1.0
    inner: float = 1.0
    """Fraction of the tokens without BOS and EOS."""

    def of(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Scale loss terms of these rows such that their sum over the processes is the term of the whole batch."""
        parts = {"duration": self.inner, "duration_bins": self.tokens, "s2s": self.tokens}
        return {name: value * parts.get(name, self.rows) for name, value in terms.items()}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch of crops, or one process' rows of it: the fields that every system uses.

    N is the largest number of tokens, C the number of frames of the crop.
    """

    tokens: Tensor
    """int64 ``(B, N)``, 0-padded."""
    lengths: Tensor
    """int64 ``(B,)``."""
    durations: Tensor
    """float32 ``(B, N)``, frames of 25 ms, 0 in the padding."""
    frame_tokens: Tensor
    """int64 ``(B, C)``: the token spoken in each frame of the crop."""
    starts: Tensor
    """int64 ``(B,)``: the crop's first frame in its utterance."""
    audio: Tensor
    """float32 ``(B, 600 C)``; empty in prosody batches."""
    f0: Tensor
    """float32 ``(B, 2 C)`` in Hz."""
    energy: Tensor
    """float32 ``(B, 2 C)``."""
    picked: tuple[int, ...]
    """The utterance of each row in the corpus."""
    smoothing: tuple[int, int]
    """Window lengths in frames for smoothing F0 and energy; 1 means no smoothing."""
    share: Share

    @property
    def mask(self) -> Tensor:
        """``(B, N)``, True at tokens."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths[:, None]

    def to(self: _Batch, device: torch.device) -> _Batch:
        """The same batch on ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})


@dataclass(frozen=True, kw_only=True)
class StyledBatch(Batch):
    """Crops whose styles are computed from recordings of their speakers.

    S is the number of frames of the style crop.
    """

    style_mel: Tensor
    """float32 ``(B, 80, S)``."""
    attributes: Tensor
    """float32 ``(B, 3)``: log speaking rate, mean and standard deviation of log F0 of the speaker, scaled to unit
    variance."""
    speakers: Tensor
    """int64 ``(B,)``."""
    style_noise: Tensor
    """float32 ``(B, 128)``, standard normal, drawn with the batch so that it does not depend on the number of
    processes."""


@dataclass(frozen=True, kw_only=True)
class VectorBatch(Batch):
    """Crops with known voice vectors."""

    vectors: Tensor
    """float32 ``(B, 256)``: acoustic half, prosodic half."""
    bandwidth: Tensor
    """float32 ``(B,)``, Hz: up to where the recordings hold speech; half the sample rate or more where they are not
    limited."""
