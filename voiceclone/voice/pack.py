"""``VoicePack``: the (510, 1, 256) tensor in which Kokoro stores a voice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from voiceclone.errors import VoicecloneError
from voiceclone.files import write_torch
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.voice.provenance import Provenance, to_note

ROWS = 510  # one row for each phoneme count from 1 to 510
VOICE_DIM = 2 * STYLE_DIM
SHAPE = (ROWS, 1, VOICE_DIM)


@dataclass(frozen=True, eq=False)
class VoicePack:
    """A Kokoro voice: float32, CPU, contiguous, ``(510, 1, 256)``.

    Row ``n - 1`` is used for a phoneme string of ``n`` characters; ``[..., :128]`` is the acoustic style (timbre, read
    by the decoder), ``[..., 128:]`` the prosodic style (durations, F0, energy, read by the predictor).
    """

    tensor: Tensor = field(repr=False)
    name: str = "voice"

    def __post_init__(self) -> None:
        if not isinstance(self.tensor, Tensor) or tuple(self.tensor.shape) != SHAPE:
            shape = tuple(self.tensor.shape) if isinstance(self.tensor, Tensor) else type(self.tensor).__name__
            raise VoicecloneError(f"voice '{self.name}': a Kokoro voice has shape {SHAPE}, this one has {shape}")
        if not self.tensor.is_floating_point():
            raise VoicecloneError(f"voice '{self.name}': values are {self.tensor.dtype}, not floating point")
        tensor = self.tensor.detach().to(device="cpu", dtype=torch.float32).contiguous().clone()
        if not torch.isfinite(tensor).all():
            raise VoicecloneError(f"voice '{self.name}': it holds NaN or infinite values")
        object.__setattr__(self, "tensor", tensor)

    @classmethod
    def load(cls, path: str | os.PathLike[str], name: str | None = None) -> VoicePack:
        """Read a voice from a file of any of the formats in :mod:`voiceclone.voice.formats`; nothing in it is run.

        Args:
            name: which voice, in a file of several.

        Raises:
            UsageError: there is no such file, or it holds several voices and none is named.
            VoicecloneError: the file holds no voice.
        """
        from voiceclone.voice.formats import read_voice

        return read_voice(Path(path), name)

    def save(self, path: str | os.PathLike[str], *, provenance: Mapping[str, Provenance] | None = None) -> None:
        """Write the bare tensor, as ``kokoro.KPipeline`` reads it; atomic.

        Args:
            provenance: by the voice's name; stored in the file where ``torch.load`` does not see it.
        """
        write_torch(Path(path), self.tensor, notes=to_note(provenance or {}))

    def row(self, phoneme_count: int) -> Tensor:
        """The ``(1, 256)`` vector Kokoro uses for a phoneme string of ``phoneme_count`` characters (1 to 510).

        Raises:
            ValueError: the count is out of range.
        """
        if not 1 <= phoneme_count <= ROWS:
            raise ValueError(f"phoneme count {phoneme_count} is outside 1 to {ROWS}")
        return self.tensor[phoneme_count - 1]

    @property
    def acoustic(self) -> Tensor:
        """Acoustic style by row, ``(510, 128)``."""
        return self.tensor[:, 0, :STYLE_DIM]

    @property
    def prosodic(self) -> Tensor:
        """Prosodic style by row, ``(510, 128)``."""
        return self.tensor[:, 0, STYLE_DIM:]
