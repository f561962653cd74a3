"""``voiceclone clone``: the main job."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from voiceclone.cloning.config import CloneConfig, merge, read_config_file

_TYPES = {"int": int, "float": float, "str": str, "str | None": str}
_HELP = {
    "data": "dataset folder: train/metadata.jsonl (or metadata.jsonl) beside the clips; required",
    "name": "name of the voice",
    "out": "output folder; the voice goes to OUT/NAME",
    "epochs_projection": "epochs of the projection",
    "lr_projection": "learning rate of the projection: about a quarter of one step of the voice's values",
    "max_style_samples": "clips used for style extraction at most",
    "max_training_clips": "clips kept in memory for the projection at most",
    "recipe": "best; or plain: mel error of free-running clips alone, for comparison",
    "without": "parts of the recipe to leave out, comma-separated; '' leaves none out: alignment, initialization, "
    "blend, prior, mel, speaker, phones, free-running, prosody, drift, rows, average, stop",
    "base": "auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file; auto: kokoro when its weights can be "
    "had, otherwise nano",
    "style_encoders": "of --base kokoro: own (trained on Kokoro's speech, in the package) or styletts2 (from the Hub)",
    "lang": "Kokoro's language code (a American, b British English, e, f, h, i, p, j, z)",
    "device": "auto, cuda, mps or cpu",
    "precision": "of the decoder's convolutions in training: float32, bfloat16, or auto: bfloat16 on CPUs with matrix "
    "units (Intel AMX), where a step takes little more than half the time",
    "seed": "seed of everything random: the same command with the same seed gives the same voice",
    "overwrite": "replace a finished voice or an unfinished run",
    "offline": "never use the network",
    "tensorboard": "write TensorBoard events to OUT/NAME/tensorboard",
    "wandb": "log to Weights & Biases (WANDB_MODE=offline is respected)",
    "wandb_project": "Weights & Biases project",
    "expressive": "fit the delivery of every clip, for say --expressive; nothing is written where the clips do not "
    "support it",
    "consent": "who agreed to this voice being cloned, and how; recorded with the voice",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every setting, a config file, verbosity."""
    add_settings(parser)
    parser.add_argument("--config", type=Path, help="YAML or JSON file with any of these settings; flags win over it")
    add_verbosity(parser)


def add_settings(parser: argparse.ArgumentParser, leave_out: Sequence[str] = ()) -> None:
    """Add a flag for every setting; values not given stay None, so that a config file can provide them."""
    for name, default in CloneConfig(data="").as_dict().items():
        if name in leave_out:
            continue
        flag = "--" + name.replace("_", "-")
        if name == "resume":
            parser.add_argument(flag, nargs="?", const="auto", metavar="auto|PATH",
                                help="go on with an unfinished run (default: its last checkpoint)")  # fmt: skip
        elif isinstance(default, bool):
            parser.add_argument(flag, action="store_true", default=None, help=_HELP[name])
        else:
            text = _HELP[name] + ("" if default in ("", None) else f" (default: {default})")
            parser.add_argument(flag, type=_TYPES[CloneConfig.__annotations__[name]], default=None, help=text)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """``--quiet`` and ``--verbose``, as every command has them."""
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
    from voiceclone.cloning.api import clone_with
    from voiceclone.distributed import process_index
    from voiceclone.errors import VoicecloneError
    from voiceclone.tracking.progress import Reporter

    try:
        clone_with(config, Reporter(verbosity=verbosity(options)))
    except VoicecloneError as error:
        if process_index() == 0:
            raise
        return error.exit_code  # of several processes the main one speaks: it meets the error too, or misses this one
    return 0
