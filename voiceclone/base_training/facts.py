"""Facts about a base for its model card that only the person who trains it can provide."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from voiceclone.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class BaseFacts:
    """Facts for the model card, given by the user."""

    name: str = "base"
    version: str = "0.1"
    language: str = "en"
    licence: str = ""
    """Licence of the base: an id of the Hub, or free text; empty: not stated."""
    data: tuple[str, ...] = ()
    """One line for each dataset, with its licence."""
    not_measured: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Observations, and measurements outside the recipe."""
    recorded_speakers: tuple[str, ...] = ()
    """Speakers with recorded (not synthesised) speech; they are measured separately."""


def read_facts(path: Path | None) -> BaseFacts:
    """Read the facts from a JSON file; the defaults where ``path`` is None.

    Raises:
        UsageError: the file cannot be read or contains unknown keys.
    """
    if path is None:
        return BaseFacts()
    try:
        values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        unknown = set(values) - {field.name for field in fields(BaseFacts)}
        if unknown:
            raise UsageError(f"{path}: unknown keys {', '.join(sorted(unknown))}: correct them")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return BaseFacts(**given)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path}: is not a JSON object with facts for the card ({error}): correct it") from error
