"""Settings of a ``train-base`` run: defaults, then ``--settings``, then flags."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from voiceclone.base_training.config import TrainConfig


def run_config(options: argparse.Namespace) -> TrainConfig:
    """The run's settings: defaults, then --settings, then flags.

    Raises:
        UsageError: a name is unknown, or a value does not fit.
    """
    from voiceclone.base_training.config import TrainConfig
    from voiceclone.base_training.systems import find_recipe

    values: dict[str, Any] = {}
    preset = options.preset
    if options.finetune is not None:
        from voiceclone.base_training.finetune import finetune_settings
        from voiceclone.base_training.finetuned_base import find_finetuned_base

        base = find_finetuned_base(options.finetune)
        preset = base.preset
        values.update(finetune_settings(base, _device(options.device)))
    find_recipe(options.system).check_preset(preset)
    if options.settings is not None:
        try:
            values.update(json.loads(options.settings.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"--settings {options.settings}: is not a JSON object ({error}): correct it") from error
    # Export alone does not train: the length of the run is not used.
    length = (
        {"steps": 1, "minutes": None} if options.pack_only else {"steps": options.steps, "minutes": options.minutes}
    )
    values.update(system=options.system, preset=preset, seed=options.seed, device=_device(options.device))
    values.update(length)
    flags = {"diffusion": options.diffusion, "decoder": options.decoder, "slm": options.slm,
             "finetune": options.finetune}  # fmt: skip
    if given := {name: value for name, value in flags.items() if value}:
        values["system_settings"] = {**(values.get("system_settings") or {}), **given}
    if options.compile:
        values["compile"] = True
    if options.bfloat16:
        values["bfloat16"] = True
    if options.learning_rate is not None:
        values["learning_rate"] = options.learning_rate
    changed = _system_settings(options.set)
    try:
        values["system_settings"] = {**(values.get("system_settings") or {}), **changed}
        return TrainConfig.from_json(values)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"--settings, --set: {error}: correct it") from error


def check_overwrite(options: argparse.Namespace, config: TrainConfig) -> None:
    """Refuse ``--overwrite`` where it contradicts another flag, or would delete what the run starts from.

    Raises:
        UsageError: it does.
    """
    from voiceclone.base_training.run_folder import check_inputs_stay

    if not options.overwrite or options.pack_only:
        return
    if options.resume:
        raise UsageError("--resume and --overwrite: choose one")
    inputs = {"--init": options.init, "--finetune": options.finetune, "--from-teacher": options.from_teacher,
              "--teacher": options.teacher, "--voice": options.voice,
              "--codec": getattr(config.system_settings, "codec", None)}  # fmt: skip
    check_inputs_stay(options.out, inputs)
    for flag, folders in (("--data", options.data), ("--kept-out", options.kept_out)):
        for folder in folders or ():
            check_inputs_stay(options.out, {flag: folder})


def _system_settings(pairs: list[str]) -> dict[str, Any]:
    """The values of --set, parsed as JSON or else taken as text."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"--set {pair!r}: give NAME=VALUE")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU: use --device cpu")
    return name
