"""Settings of a clone run: fields, precedence of their sources, and validation."""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from voiceclone.bases.stock_names import KOKORO, placed_base
from voiceclone.errors import UsageError
from voiceclone.projection.parts import PARTS, PLAIN, RECIPES, parse_parts
from voiceclone.ranges import check_range
from voiceclone.system.settings import as_flag, required, setting
from voiceclone.text.g2p import language_code

STYLE_ENCODERS = ("own", "styletts2")
DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "float32", "bfloat16")
EPOCHS, LR_ON_KOKORO, LR = 30, 2e-3, 4e-3
"""Where none is given: number of epochs, learning rate on Kokoro-82M, and on other bases."""
EPOCHS_BEFORE_FINISH, LR_WITH_FINISH = 80, 1e-3
"""The same with ``finish``: number of epochs on nano, learning rate on both models."""
EPOCHS_PLAIN_ON_KOKORO, EPOCHS_PLAIN, LR_PLAIN = 60, 100, 1e-3
"""The same with the plain recipe, whose learning rate is that of every weight, not of the voice's values."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SCIENTIFIC = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+$")
_PATHS = ("data", "out", "base", "resume")
# Settings that change the voice: a checkpoint can only be resumed with the same values.
_DECISIVE = ("style_encoders", "lang", "epochs_projection", "finish", "lr_projection", "max_style_samples",
             "max_training_clips", "precision", "seed", "recipe", "without")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CloneConfig:
    """Settings of ``clone``. Every field is a flag of the command and a key of a config file.

    Fields that hold a path accept any ``os.PathLike`` and store it as text.
    """

    data: str = required("dataset folder: train/metadata.jsonl (or metadata.jsonl) beside the clips; required")
    name: str = setting("my_voice", "name of the voice")
    out: str = setting("output", "output folder; the voice goes to OUT/NAME")
    epochs_projection: int | None = setting(
        None,
        f"number of training epochs (default: {EPOCHS}; {EPOCHS_BEFORE_FINISH} on nano before --finish; with "
        f"--recipe plain {EPOCHS_PLAIN_ON_KOKORO} on Kokoro-82M and {EPOCHS_PLAIN} on other bases)",
    )
    finish: int = setting(
        0,
        "first train on nano, the base's student, and then this number of epochs on the base itself; 0: on the "
        "base alone",
    )
    lr_projection: float | None = setting(
        None,
        "learning rate of the projection: one step changes each value of the voice by about four times this (default: "
        f"{LR_ON_KOKORO:g} on Kokoro-82M, {LR:g} on other bases, {LR_WITH_FINISH:g} with --finish or --recipe plain)",
    )
    max_style_samples: int = setting(100, "maximum number of clips for style extraction")
    max_training_clips: int = setting(
        200, "maximum number of training clips of the projection, which are kept in memory"
    )
    recipe: str = setting("best", "best, or plain (a baseline: mel error of free-running synthesis only)")
    without: str = setting("", f"parts of the recipe to leave out, comma-separated: {', '.join(PARTS)}")
    fidelity: float = setting(
        1.0,
        "0-1: how far the voice goes from the blend of stock voices where training begins (more natural) to the "
        "trained voice (more like the speaker); the command fidelity changes it later",
    )
    base: str = setting(
        "auto",
        "auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file; auto: kokoro when its weights are available, "
        "otherwise nano",
    )
    style_encoders: str = setting(
        "own", "style encoders for Kokoro-82M: own (trained on its speech, in the package) or styletts2 (from the Hub)"
    )
    lang: str = setting("a", "Kokoro's language code: a American, b British English, e, f, h, i, p, j, z")
    device: str = setting("auto", "auto (CUDA where there is a GPU, else the CPU), cuda, mps or cpu")
    precision: str = setting(
        "auto",
        "of the decoder's convolutions in training: float32, bfloat16 or auto (bfloat16 on CPUs with Intel AMX, where "
        "it nearly halves the time of a step)",
    )
    seed: int = setting(0, "random seed: the same command with the same seed gives the same voice")
    resume: str | None = setting(None, "resume an unfinished run from its last checkpoint, or from PATH")
    overwrite: bool = setting(False, "replace a finished voice or an unfinished run")
    offline: bool = setting(False, "never use the network")
    tensorboard: bool = setting(False, "write TensorBoard events to OUT/NAME/tensorboard")
    wandb: bool = setting(False, "log to Weights & Biases (WANDB_MODE=offline is respected)")
    wandb_project: str = setting("voiceclone", "Weights & Biases project")
    expressive: bool = setting(
        False,
        "model the prosody variation of the clips, for say --expressive; not written where the clips do not support it",
    )
    consent: str = setting("", "who agreed to this voice being cloned, and how; recorded with the voice")

    def __post_init__(self) -> None:
        for name in _PATHS:
            if isinstance(path := getattr(self, name), os.PathLike):
                object.__setattr__(self, name, os.fspath(path))
        _check_types(self)
        check_name(self.name)
        if self.device not in DEVICES:
            raise UsageError(f"--device {self.device!r}: use one of {', '.join(DEVICES)}")
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision {self.precision!r}: use one of {', '.join(PRECISIONS)}")
        if self.recipe not in RECIPES:
            raise UsageError(f"--recipe {self.recipe!r}: use one of {', '.join(RECIPES)}")
        # In canonical form, so that equal settings compare as equal.
        object.__setattr__(self, "without", ",".join(sorted(parse_parts(self.without))))
        object.__setattr__(self, "lang", language_code(self.lang))
        if self.style_encoders not in STYLE_ENCODERS:
            raise UsageError(f"--style-encoders {self.style_encoders!r}: use one of {', '.join(STYLE_ENCODERS)}")
        for name in ("epochs_projection", "finish", "max_style_samples", "max_training_clips", "seed"):
            if (value := getattr(self, name)) is not None:
                check_range(name, value)
        if self.finish and (self.recipe == PLAIN or "student" in parse_parts(self.without)):
            other = f"--recipe {PLAIN!r}" if self.recipe == PLAIN else "--without 'student'"
            raise UsageError(f"--finish {self.finish}: {other} trains without a student: leave out one of the two")
        if not 0.0 <= self.fidelity <= 1.0:
            raise UsageError(f"--fidelity {self.fidelity:g}: use a number from 0 to 1")
        if self.lr_projection is not None and not 0.0 < self.lr_projection < 1.0:
            raise UsageError(f"--lr-projection {self.lr_projection}: use a number between 0 and 1")

    @property
    def folder(self) -> Path:
        """Output folder of this voice."""
        return Path(self.out) / self.name

    def for_base(self, kind: str) -> CloneConfig:
        """The same settings with a number of epochs and a learning rate: by default those for a base of this kind."""
        epochs, lr = EPOCHS, LR_ON_KOKORO if kind == KOKORO else LR
        if self.finish:
            epochs, lr = EPOCHS_BEFORE_FINISH, LR_WITH_FINISH
        elif self.recipe == PLAIN:
            epochs, lr = EPOCHS_PLAIN_ON_KOKORO if kind == KOKORO else EPOCHS_PLAIN, LR_PLAIN
        return replace(
            self,
            epochs_projection=epochs if self.epochs_projection is None else self.epochs_projection,
            lr_projection=lr if self.lr_projection is None else self.lr_projection,
        )

    @property
    def epochs(self) -> int:
        """Number of epochs on the student and on the base together, of settings made by :meth:`for_base`."""
        assert self.epochs_projection is not None
        return self.epochs_projection + self.finish

    def decisive(self) -> dict[str, Any]:
        """The settings that change the voice."""
        return {name: getattr(self, name) for name in _DECISIVE}

    def as_dict(self) -> dict[str, Any]:
        """All settings, JSON-able."""
        return asdict(self)

    def placed(self) -> dict[str, Any]:
        """All settings, JSON-able, with absolute paths: other commands read them from any working directory."""
        return {**self.as_dict(), "data": os.path.abspath(self.data), "base": placed_base(self.base)}


def check_name(name: str) -> None:
    """Check the name of a voice, which is also a folder name.

    Raises:
        UsageError: it has other characters, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name!r}: use letters, digits, '_', '-' and '.', starting with a letter or digit")


def merge(flags: Mapping[str, Any], file: Mapping[str, Any]) -> CloneConfig:
    """Merge settings: flags take precedence over the config file, and the file over the defaults.

    Raises:
        UsageError: a key is unknown, a value has the wrong type or is out of range, or there is no dataset.
    """
    known = {field.name for field in fields(CloneConfig)}
    values = {str(key).replace("-", "_"): value for key, value in file.items()}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"config file: unknown key '{unknown[0]}': use one of {', '.join(sorted(known))}")
    values.update({key: value for key, value in flags.items() if value is not None})
    if "data" not in values:
        raise UsageError("--data is required: the folder with the clips and their metadata.jsonl")
    return CloneConfig(**values)


def read_config_file(path: Path) -> dict[str, Any]:
    """Read a JSON or YAML config file, in UTF-8.

    JSON is read as such first: PyYAML reads YAML 1.1, which takes ``5e-05`` as text and the two escapes of a character
    beyond the BMP as two characters.

    Raises:
        UsageError: it cannot be read or is not a mapping.
    """
    import yaml

    class WithoutAliases(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):  # nested aliases can expand to gigabytes
                raise UsageError(f"--config {path}: aliases (*name) are not read: write the value out")
            return super().compose_node(parent, index)

    # Numbers such as 2e-3 and 1.5e3, which are numbers in YAML 1.2.
    WithoutAliases.add_implicit_resolver("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+.0123456789"))
    try:
        text = path.read_text(encoding="utf-8-sig")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = yaml.load(text, Loader=WithoutAliases)
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}: check the path") from error
    except UsageError:
        raise
    except Exception as error:  # yaml also raises other exceptions, for example for an invalid date or an empty tag
        raise UsageError(f"--config {path}: no valid YAML or JSON: {_first_line(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"--config {path}: it must hold 'key: value' lines")
    return content


def dump(config: CloneConfig) -> str:
    """The settings as JSON text."""
    return json.dumps(config.as_dict(), indent=2)


def _check_types(config: CloneConfig) -> None:
    """Check the types of values that come from files or from Python.

    Raises:
        UsageError: a value has the wrong type; the message names it.
    """
    expected: dict[str, Any] = {
        "int": int, "int | None": (int, type(None)), "float": (int, float),
        "float | None": (int, float, type(None)), "bool": bool, "str": str, "str | None": (str, type(None)),
    }  # fmt: skip
    for field in fields(config):
        value, wanted = getattr(config, field.name), str(field.type)
        good = isinstance(value, expected[wanted]) and (wanted == "bool" or not isinstance(value, bool))
        if not good:
            raise UsageError(f"{as_flag(field.name)} {reprlib.repr(value)}: {wanted} expected")
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"{as_flag(field.name)} {reprlib.repr(value)}: holds a zero byte: remove it")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
