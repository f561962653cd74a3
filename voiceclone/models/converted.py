"""Converted models in the cache. This module imports no heavy library."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from voiceclone.files import sha256_of
from voiceclone.models.store import cache_root

FORMAT = 1  # increased when the conversion changes; older conversions are repeated
WEIGHTS, FACTS = "model.safetensors", "source.json"
PRECISIONS = {"int8": "int8 weights", "fp16": "float16 weights", "float32": "full precision"}


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A converted model in the cache."""

    folder: Path
    source_sha256: str
    precision: str
    """A key of ``PRECISIONS``."""
    source: str
    """Name of the source file."""

    @property
    def weights(self) -> Path:
        """Kokoro's state dict, float32."""
        return self.folder / WEIGHTS

    def is_whole(self) -> bool:
        """Whether the weights are unchanged since the conversion; reads the whole file."""
        try:
            return sha256_of(self.weights) == json.loads((self.folder / FACTS).read_text(encoding="utf-8"))["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def label(self) -> str:
        """A description of the weights."""
        return f"{PRECISIONS[self.precision]} ({self.source})"


def find_converted(sha256: str) -> Converted | None:
    """The earlier conversion of an ONNX file of that hash; None if there is none, or one of an older version."""
    folder = folder_of(sha256)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        found = Converted(folder=folder, source_sha256=sha256, precision=facts["precision"], source=facts["source"])
        usable = facts["format"] == FORMAT and facts["precision"] in PRECISIONS
        usable = usable and facts["bytes"] == found.weights.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if usable else None


def folder_of(sha256: str) -> Path:
    """The folder for the conversion of an ONNX file of that hash."""
    return cache_root() / "bases" / sha256[:32]
