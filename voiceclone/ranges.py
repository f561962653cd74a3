"""The valid range of every option that takes a whole number."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

from voiceclone.errors import UsageError

MOST = 10**9
LARGEST_SEED = 2**31 - 1  # the largest that every seeded library accepts

RANGES = {
    "epochs_projection": (0, MOST),
    "diffusion_steps": (1, 1000),
    "finish": (0, MOST),
    "max_style_samples": (1, MOST),
    "max_training_clips": (2, MOST),
    "max_characters": (1, 1_000_000),
    "port": (0, 65_535),
    "processes": (1, 256),
    "queue": (0, 10_000),
    "retries": (0, 1000),
    "seed": (0, LARGEST_SEED),
    "steps": (1, MOST),
    "threads": (1, 4096),
    "variants": (1, 100),
    "vocab_size": (2, 32_768),
}
"""Name of the option, with ``_`` for ``-``, to the lowest and the highest value."""
OF_COMMAND = {
    ("demo-data", "clips"): (4, 24),
    ("evaluate", "clips"): (1, 10**6),
    ("train-base", "voices"): (0, 10**6),
}
"""The same, for options of one name in two commands."""


def range_of(name: str, command: str = "") -> tuple[int, int]:
    """The lowest and the highest value of an option; ``name`` as in :data:`RANGES`.

    Raises:
        KeyError: it has no range.
    """
    return OF_COMMAND.get((command, name)) or RANGES[name]


def check_range(name: str, value: int, command: str = "") -> None:
    """Refuse a value out of range.

    Raises:
        UsageError: the value is out of range.
    """
    lowest, highest = range_of(name, command)
    if not lowest <= value <= highest:
        raise UsageError(f"--{name.replace('_', '-')} {value}: use a whole number from {lowest} to {highest}")


def check_numbers(options: Mapping[str, Any], command: str) -> None:
    """Check every number of a command line: whole numbers by their range, if any, others for being finite.

    Raises:
        UsageError: one is out of range, or not finite.
    """
    for name, value in options.items():
        if isinstance(value, int) and not isinstance(value, bool):
            with contextlib.suppress(KeyError):  # a count that the parser made itself
                check_range(name, value, command)
        elif isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} {value}: use a finite number")
