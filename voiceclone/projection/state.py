"""What a projection training has to remember, and its checkpoint files: loads with ``weights_only=True``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone.errors import VoicecloneError
from voiceclone.files import write_torch
from voiceclone.projection.alignment import Alignment

FORMAT = 1
LAST = "last.pt"
BEST = "best.pt"


@dataclass(kw_only=True, eq=False)
class TrainingState:
    """Everything that an epoch hands to the next one. ``epoch`` epochs are done."""

    epoch: int = 0
    step: int = 0
    skipped_steps: int = 0
    gain: float = 1.0  # what the clips' level was multiplied by
    anchor: Tensor = field(repr=False)  # (1, 256): the start
    spread: Tensor = field(repr=False)  # (256,)
    timbre_from: str = ""
    prosody_from: str = ""
    projection: dict[str, Any] = field(default_factory=dict, repr=False)
    optimizer: dict[str, Any] = field(default_factory=dict, repr=False)
    alignments: dict[str, Alignment] = field(default_factory=dict, repr=False)  # by split/clip name
    best_epoch: int = 0
    best_loss: float | None = None
    best_vector: Tensor | None = field(default=None, repr=False)  # (1, 256)
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)


def save_state(state: TrainingState, identity: dict[str, str], path: Path) -> None:
    """Write a checkpoint; ``identity`` says which run it belongs to (dataset, base, settings). Atomic."""
    content = dict(vars(state))
    content["alignments"] = {
        name: {"durations": alignment.durations, "score": alignment.score}
        for name, alignment in state.alignments.items()
    }
    write_torch(path, {"format": FORMAT, "identity": identity, "state": content})


def load_state(path: Path) -> tuple[TrainingState, dict[str, str]]:
    """Read a checkpoint and the identity of its run.

    Raises:
        VoicecloneError: the file is none.
    """
    mend = "give another --resume PATH, or start afresh with --overwrite"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}: {mend}") from error
    except Exception as error:  # torch raises many kinds for damaged or unsafe files
        raise VoicecloneError(f"{path} is no checkpoint or is damaged: {mend}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise VoicecloneError(f"{path} is no checkpoint of this version: {mend}")
    try:
        fields = dict(content["state"])
        fields["alignments"] = {name: Alignment(**value) for name, value in fields["alignments"].items()}
        return TrainingState(**fields), dict(content["identity"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise VoicecloneError(f"{path} is no checkpoint of this version: {mend}") from error
