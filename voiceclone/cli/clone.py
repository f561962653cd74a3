"""``voiceclone clone``: clone a voice from a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cloning.config import CloneConfig, merge, read_config_file
from voiceclone.errors import UsageError
from voiceclone.system.settings import add_flags, words_of

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.tracking.progress import Reporter

_TYPES: dict[str, type] = {
    "int": int, "int | None": int, "float": float, "float | None": float, "str": str, "str | None": str,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``clone``: every setting, a config file, verbosity."""
    add_settings(parser)
    parser.add_argument("--config", type=Path, help="YAML or JSON file with any of these settings; flags win over it")
    add_verbosity(parser)


def add_settings(parser: argparse.ArgumentParser, leave_out: Sequence[str] = ()) -> None:
    """Add a flag for every setting; values not given stay None, so that a config file can provide them."""
    for name, default in CloneConfig(data="").as_dict().items():
        if name in leave_out:
            continue
        given: dict[str, Any]
        kind, words = CloneConfig.__annotations__[name], words_of(CloneConfig, name)
        if name == "resume":
            given = {"nargs": "?", "const": "auto", "metavar": "auto|PATH"}
        elif kind == "bool":
            given = {"action": "store_true"}
        else:
            given = {"type": _TYPES[kind], "help": words + ("" if default in ("", None) else f" (default: {default})")}
        add_flags(parser, CloneConfig, **{name: {"default": None, **given}})


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """``--quiet`` and ``--verbose``, which every command has."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", action="store_true", help="only warnings and errors")
    group.add_argument("--verbose", action="store_true", help="more detail, and what other libraries say")


def verbosity(options: argparse.Namespace) -> int:
    """-1 quiet, 0 normal, 1 verbose."""
    return int(options.verbose) - int(options.quiet)


def run(options: argparse.Namespace) -> int:
    """Merge flags and config file, then clone."""
    flags = {name: getattr(options, name) for name in CloneConfig(data="").as_dict()}
    config = merge(flags, read_config_file(options.config) if options.config else {})
    from voiceclone.data.metadata import read_dataset

    read_dataset(config.data)  # a wrong folder is reported before torch is imported
    if refuse_launcher("one voice", "`voiceclone batch` clones several voices at once"):
        return UsageError.exit_code
    from voiceclone.tracking.progress import Reporter

    clone_by_system(config, Reporter(verbosity=verbosity(options)))
    return 0


def clone_by_system(config: CloneConfig, reporter: Reporter) -> None:
    """Clone as the base's system needs it: fit a vector of a VITS2, train the projection of any other.

    Raises:
        UsageError: a setting or path is wrong.
        VoicecloneError: cloning failed.
    """
    if (base := _vits2(config)) is None:
        from voiceclone.cloning.api import clone_with

        clone_with(config, reporter)
        return
    from voiceclone.base_training.vits2.fitting import clone_by_vector
    from voiceclone.cloning.context import no_student

    if config.finish:
        raise no_student(config.finish, base.title)
    clone_by_vector(config, base, reporter)


def refuse_launcher(work: str, instead: str) -> bool:
    """True in the additional processes of a launcher (accelerate, torchrun, mpirun), which exit without output.

    Raises:
        UsageError: in the first of several processes.
    """
    from voiceclone.distributed import process_count, process_index

    if process_count() == 1 or process_index() > 0:
        return process_count() > 1
    raise UsageError(f"a launcher started {process_count()} processes for {work}: start it without one; {instead}")


def _vits2(config: CloneConfig) -> Base | None:
    """The base if it is a folder with a VITS2, whose voices are fitted differently; else None."""
    if not (Path(config.base) / "base.json").is_file():
        return None
    from voiceclone.bases.base import load_base
    from voiceclone.bases.other_systems import is_vits2

    return load_base(config.base, offline=config.offline) if is_vits2(Path(config.base)) else None
