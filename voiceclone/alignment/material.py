"""Keys of what is computed from recordings and kept: features, durations, a trained aligner."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceclone.data.rows import Row


def file_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in ns of a file; (-1, -1) where there is none.

    Reading whole corpora to hash them would take minutes at every start. The time is needed beside the size because
    editing a WAV file in place, such as levelling it, keeps its size.
    """
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def material_key(rows: Sequence[Row], *settings: Any, language: str = "") -> str:
    """SHA-256, as 64 hex digits, of all that the features and durations of ``rows`` are computed from.

    Args:
        rows: of the datasets.
        settings: JSON values that also determine the result.
        language: in which texts without phonemes are read; it does not count for the other rows.
    """
    material = [
        [str(row.path), *file_stamp(row.path), row.speaker, row.text,
         {"language": language} if row.phonemes is None else row.phonemes, row.durations]
        for row in rows
    ]  # fmt: skip
    return hashlib.sha256(json.dumps([settings, material], sort_keys=True).encode()).hexdigest()
