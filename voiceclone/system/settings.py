"""A setting is described once, at its field of a config dataclass: the help of the flag comes from there."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, Field, field, fields
from typing import Any

_WORDS = "words"


def setting(default: Any, words: str) -> Any:
    """A field with its default and what it is, with its unit, in a few words."""
    return field(default=default, metadata={_WORDS: words})


def required(words: str) -> Any:
    """A field without a default."""
    return field(metadata={_WORDS: words})


def words_of(config: type, name: str) -> str:
    """What a setting is."""
    return str(_field(config, name).metadata[_WORDS])


def default_of(config: type, name: str) -> Any:
    """Its default; None where it has none."""
    default = _field(config, name).default
    return None if default is MISSING else default


def as_flag(name: str) -> str:
    """``lr_projection`` -> ``--lr-projection``."""
    return "--" + name.replace("_", "-")


def add_flags(parser: argparse.ArgumentParser, config: type, **flags: dict[str, Any]) -> None:
    """Add the flags of settings, with their words and defaults.

    Args:
        flags: by the setting's name, what else argparse is to know, such as the type; it wins over words and default.
    """
    for name, given in flags.items():
        words = words_of(config, name).replace("%", "%%")
        parser.add_argument(as_flag(name), **{"default": default_of(config, name), "help": words, **given})


def _field(config: type, name: str) -> Field[Any]:
    return next(found for found in fields(config) if found.name == name)
