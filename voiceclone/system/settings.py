"""Settings are described once, at the field of a config dataclass; the help of the flag is generated from it."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

_WORDS = "words"
_Config = TypeVar("_Config")


def setting(default: Any, words: str) -> Any:
    """A field with its default and a short description including the unit."""
    return field(default=default, metadata={_WORDS: words})


def required(words: str) -> Any:
    """A field without a default."""
    return field(metadata={_WORDS: words})


def words_of(config: type, name: str) -> str:
    """Description of a setting."""
    return str(_field(config, name).metadata[_WORDS])


def default_of(config: type, name: str) -> Any:
    """Default of a setting; None where it has none."""
    default = _field(config, name).default
    return None if default is MISSING else default


def as_flag(name: str) -> str:
    """``lr_projection`` -> ``--lr-projection``."""
    return "--" + name.replace("_", "-")


def given(config: type[_Config], options: argparse.Namespace, **more: Any) -> _Config:
    """The config from the parsed flags of its fields; ``more`` are further fields, or win over the flags."""
    values = {found.name: getattr(options, found.name) for found in fields(config) if hasattr(options, found.name)}  # type: ignore[arg-type]
    return config(**{**values, **more})


def add_flags(parser: argparse.ArgumentParser, config: type, **flags: dict[str, Any]) -> None:
    """Add the flags of settings, with their descriptions and defaults.

    Args:
        parser: to add to.
        config: the dataclass.
        flags: by the setting's name, further arguments for argparse such as the type; they override description and
            default.
    """
    for name, given in flags.items():
        words = words_of(config, name).replace("%", "%%")
        parser.add_argument(as_flag(name), **{"default": default_of(config, name), "help": words, **given})


def _field(config: type, name: str) -> Field[Any]:
    return next(found for found in fields(config) if found.name == name)
