"""Facts about a base for its model card that only the person who trains it can provide."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from voiceclone.errors import UsageError
from voiceclone.voice.card import NOT_STATED, licence_matter


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


def card_head(facts: BaseFacts) -> list[str]:
    """First lines of a model card: front matter and title."""
    return [
        "---", *licence_matter(facts.licence), f"language: {facts.language}", "pipeline_tag: text-to-speech", "---", "",
        f"# {facts.name} {facts.version}", "",
    ]  # fmt: skip


def card_end(facts: BaseFacts) -> list[str]:
    """Last lines of a model card: what was not measured, notes, limits and the licence."""
    lines: list[str] = []
    for title, entries in (("Not measured", facts.not_measured), ("Notes", facts.notes), ("Limits", facts.limits)):
        lines += [f"## {title}", "", *(f"- {line}" for line in entries), ""] if entries else []
    return [*lines, "## Licence", "", f"{facts.licence or NOT_STATED}. The vocabulary is Kokoro-82M's (Apache-2.0)."]
