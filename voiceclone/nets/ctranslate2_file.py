"""Read the weights of a CTranslate2 ``model.bin`` into torch, because CTranslate2 computes no gradients."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from voiceclone.errors import VoicecloneError

VERSION = 6
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
"""CTranslate2's type numbers, as far as its Whisper models use them."""


def read_ctranslate2(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """The variables whose names begin with ``prefix``, floating-point ones as float32.

    Raises:
        VoicecloneError: the file cannot be read, or is of another version.
    """
    try:
        return _Reader(path.read_bytes()).variables(prefix)
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    except (struct.error, ValueError, KeyError) as error:
        raise VoicecloneError(f"{path} is not a CTranslate2 model of version {VERSION}: install it again") from error


class _Reader:
    """Sequential reader of numbers and strings, little-endian."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self.content, self.place)
        self.place += struct.calcsize(kind)
        return int(value)

    def taken(self, count: int) -> bytes:
        if self.place + count > len(self.content):
            raise ValueError("the file ends too early")
        self.place += count
        return self.content[self.place - count : self.place]

    def name(self) -> str:
        return self.taken(self.number("H")).rstrip(b"\0").decode()

    def variables(self, prefix: str) -> dict[str, Tensor]:
        """Header, then name, shape, type and content of each variable."""
        if self.number("I") != VERSION:
            raise ValueError("another version")
        self.name()  # of the kind of model
        self.number("I")  # its revision
        found = {}
        for _ in range(self.number("I")):
            name = self.name()
            shape = [self.number("I") for _ in range(self.number("B"))]
            kind = self.number("B")
            content = self.taken(self.number("I"))
            if name.startswith(prefix):
                values = torch.from_numpy(np.frombuffer(content, dtype=_TYPES[kind]).reshape(shape).copy())
                found[name] = values.float() if values.is_floating_point() else values
        return found
