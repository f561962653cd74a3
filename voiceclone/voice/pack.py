"""``VoicePack``: the (510, 1, 256) tensor that Kokoro reads a voice from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_torch

ROWS = 510  # one row for each phoneme count from 1 to 510
STYLE_DIM = 128  # width of each half: acoustic style, then prosodic style
VOICE_DIM = 2 * STYLE_DIM
SHAPE = (ROWS, 1, VOICE_DIM)
MAX_FILE_BYTES = 64 * 2**20  # an official pack has half a megabyte


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
    def load(cls, path: str | os.PathLike[str]) -> VoicePack:
        """Read a ``.pt`` voice without unpickling anything but a tensor.

        Raises:
            UsageError: there is no such file.
            VoicecloneError: the file is no voice.
        """
        path = Path(path)
        if not path.is_file():
            raise UsageError(f"no voice file at {path}: check the path")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise VoicecloneError(f"{path} is no Kokoro voice: a voice has half a megabyte")
        try:
            tensor = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
        except Exception as error:  # torch raises many kinds for damaged or unsafe files
            raise VoicecloneError(f"{path} is no Kokoro voice: it does not load as a bare tensor") from error
        try:
            return cls(tensor, path.stem)
        except VoicecloneError as error:
            raise VoicecloneError(f"{path}: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bare tensor, as ``kokoro.KPipeline`` reads it; atomic."""
        write_torch(Path(path), self.tensor)

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
