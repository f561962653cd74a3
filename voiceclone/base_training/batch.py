"""What a step is trained on: tensors of one batch, or a process's rows of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Share:
    """What part of the whole batch these rows are: a mean over the rows, times its part, adds up over the processes."""

    rows: float = 1.0
    tokens: float = 1.0
    inner: float = 1.0
    """Tokens without BOS and EOS."""

    def of(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss terms of these rows as summands of the whole batch's."""
        parts = {"duration": self.inner, "duration_bins": self.tokens}
        return {name: value * parts.get(name, self.rows) for name, value in terms.items()}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What every system trains on: one batch of crops, or a process's rows of it.

    N is the longest token count, C the frames of the crop.
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
    """Width in frames over which F0 and energy are smoothed; 1 leaves them alone."""
    share: Share

    @property
    def mask(self) -> Tensor:
        """``(B, N)``, True at tokens."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths[:, None]

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})


@dataclass(frozen=True, kw_only=True)
class StyledBatch(Batch):
    """Crops whose styles come from recordings of their speakers. S is the frames of the style crop."""

    style_mel: Tensor
    """float32 ``(B, 80, S)``."""
    attributes: Tensor
    """float32 ``(B, 3)``: log rate, mean and spread of log F0 of the speaker, each scaled to about unit variance."""
    speakers: Tensor
    """int64 ``(B,)``."""
    style_noise: Tensor
    """float32 ``(B, 128)``, standard normal: drawn with the batch, so that it belongs to the row."""


@dataclass(frozen=True, kw_only=True)
class VectorBatch(Batch):
    """Crops whose voice vectors are known."""

    vectors: Tensor
    """float32 ``(B, 256)``: acoustic half, prosodic half."""
