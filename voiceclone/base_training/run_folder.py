"""What an earlier run left in ``--out``, which ``--overwrite`` deletes before a new one trains."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from voiceclone.base_training.packed_folder import remove_packed
from voiceclone.base_training.trainer import CHECKPOINT
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.tracking.wandb import FOLDER as WANDB
from voiceclone.tracking.wandb import RUN_FILE

SURROGATE_ENCODERS = "surrogate_encoders.safetensors"
BEST = "best_model.pt"
BASE, CODEC, CODEC_TRAINING = "base", "codec", "codec_training"
"""Folders of the packed base, of a trained codec, and of the training of a Mamba-Conv's own codec."""
NUMBERED = ("checkpoint_*.pt", "enhanced_training_plots_*.png")
"""Files with the step in their name."""


def numbered_files(out: Path, pattern: str) -> dict[Path, int]:
    """The files in ``out`` of one of the patterns :data:`NUMBERED`, with their steps."""
    steps = {path: path.stem.rpartition("_")[2] for path in out.glob(pattern)}
    return {path: int(step) for path, step in steps.items() if step.isdigit()}


def remove_run(out: Path) -> None:
    """Remove the run in ``out``, of whatever system, so that neither the new one nor ``--resume`` reads any of it.

    Features and speech to rehearse stay: they are computed again where what they were made from has changed. So do
    logs, and all files that no run writes.

    Raises:
        VoicecloneError: something cannot be removed.
    """
    out = Path(out)
    try:
        for folder in (out / BASE, out / CODEC):
            remove_packed(folder)
        if (out / CODEC_TRAINING).is_dir():
            shutil.rmtree(out / CODEC_TRAINING)
        numbered = [path for pattern in NUMBERED for path in numbered_files(out, pattern)]
        for path in (*numbered, out / SURROGATE_ENCODERS, out / BEST, out / WANDB / RUN_FILE):
            path.unlink(missing_ok=True)
        # Last: while it is there, a run that was interrupted here is not taken for a new one.
        (out / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        where = error.filename or out
        raise VoicecloneError(
            f"cannot delete {where}: {error.strerror or error}: delete it yourself, or choose another --out"
        ) from error


def check_inputs_stay(out: Path, inputs: Mapping[str, Path | str | None]) -> None:
    """Refuse inputs that :func:`remove_run` would delete.

    Args:
        out: the run's folder.
        inputs: files or folders by flag; names that are no paths are in order.

    Raises:
        UsageError: one of them lies in a folder that is deleted.
    """
    deleted = {(Path(out) / name).resolve() for name in (BASE, CODEC, CODEC_TRAINING)}
    for flag, given in inputs.items():
        if given is not None and deleted & {(path := Path(given).resolve()), *path.parents}:
            raise UsageError(
                f"{flag} {given}: belongs to the run that --overwrite deletes: choose another --out, or copy it first"
            )
