"""Registry of the systems of ``train-base --system``. Each is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voiceclone.errors import UsageError
from voiceclone.models.presets import PRESETS

if TYPE_CHECKING:
    from voiceclone.base_training.config import TrainConfig
    from voiceclone.base_training.training_run import TrainingRun

STYLETTS2 = "styletts2"
SYSTEMS = {
    STYLETTS2: "voiceclone.base_training.recipe",
    "vits2": "voiceclone.base_training.vits2.recipe",
    "codec": "voiceclone.base_training.mamba_conv.codec_recipe",
    "mamba-conv": "voiceclone.base_training.mamba_conv.recipe",
}
"""Module of each system; its ``RECIPE`` describes the training."""

Settings = TypeVar("Settings", bound="SystemSettings")


@dataclass(frozen=True, kw_only=True)
class SystemSettings:
    """Base class for the settings of one system. A subclass has a default for each field."""

    @classmethod
    def from_json(cls: type[Settings], values: Mapping[str, Any]) -> Settings:
        """Settings from JSON values: lists become tuples, missing keys get their default.

        Raises:
            ValueError: a name is unknown, or a value has another type than the default.
        """
        defaults = cls()
        unknown = set(values) - {one.name for one in fields(cls)}
        if unknown:
            raise ValueError(f"unknown settings of the system: {', '.join(sorted(unknown))}")
        given = {name: _tuples(value) for name, value in values.items()}
        for name, value in given.items():
            default = getattr(defaults, name)
            if not _is_like(value, default):
                raise ValueError(f"{name} is {value!r}: it must be of the kind of its default, {default!r}")
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a system is trained on a corpus and exported to a base folder."""

    train_and_pack: Callable[[TrainingRun], Path]
    """Trains and packs a run; the base's folder."""
    settings: type[SystemSettings] | None = None
    """Class of the system's settings, for ``TrainConfig.system_settings``; None where it has none."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of ``TrainConfig`` with another default for this system."""
    presets: tuple[str, ...] = PRESETS
    """Names for ``TrainConfig.preset``."""
    check: Callable[[TrainConfig, Path | None], None] = lambda config, init: None
    """Raises what is wrong with the settings and the base to start from, before features are computed."""
    takes: frozenset[str] = frozenset()
    """Fields of the run that only some recipes read, of ``boost``, ``kept_out``, ``surrogate_share``, ``voices`` and
    ``voice_first``."""

    def check_preset(self, name: str) -> None:
        """Raise UsageError where the system has no preset ``name``."""
        if name not in self.presets:
            raise UsageError(f"no preset {name!r}: choose one of {', '.join(self.presets)}")

    def read_settings(self, values: Mapping[str, Any] | None) -> SystemSettings | None:
        """The system's settings from JSON values.

        Raises:
            ValueError: a name is unknown, or a value has the wrong type.
        """
        if self.settings is None:
            if values:
                raise ValueError(f"this system has no settings of its own: leave out {', '.join(sorted(values))}")
            return None
        return self.settings.from_json(values or {})


def find_recipe(name: str) -> Recipe:
    """The recipe of the system called ``name``.

    Raises:
        UsageError: there is no system of that name.
    """
    if name not in SYSTEMS:
        raise UsageError(f"--system {name}: use one of {', '.join(sorted(SYSTEMS))}")
    recipe: Recipe = import_module(SYSTEMS[name]).RECIPE
    return recipe


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list | tuple) else value


def _is_like(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))
