"""State of a projection training and its checkpoint files, which load with ``weights_only=True``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.alignment.base_warp import Alignment
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_torch

FORMAT = 9
INITIAL, LAST = "initial.pt", "last.pt"  # before the first epoch, and after the last finished one
AFRESH = "give another --resume PATH, or start afresh with --overwrite"


@dataclass(kw_only=True, eq=False)
class TrainingState:
    """The state at the end of an epoch. ``epoch`` is the number of finished epochs, on the student and on the base."""

    epoch: int = 0
    step: int = 0
    skipped_steps: int = 0
    gain: float = 1.0  # gain applied to the clips
    anchor: Tensor = field(repr=False)  # (1, 256): the initialization
    timbre_from: str = ""
    prosody_from: str = ""
    phone_accuracy: float = 0.0  # accuracy of the phone classifier on the mean stock voice, 0-1; 0: not measured
    best_stock: str = ""  # the single stock voice nearest to the clips
    phones_stock: float = 0.0  # the term ``phones`` of that voice, free-running; 0: no phone classifier
    candidates: dict[str, Tensor] = field(default_factory=dict, repr=False)  # other voices for comparison: (1, 256)
    dropped: dict[str, str] = field(default_factory=dict)  # split/clip name to the reason why it is not used
    projection: dict[str, Any] = field(default_factory=dict, repr=False)
    optimizer: dict[str, Any] = field(default_factory=dict, repr=False)
    alignments: dict[str, Alignment] = field(default_factory=dict, repr=False)  # by split/clip name
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)


def save_checkpoint(state: TrainingState, identity: dict[str, str], path: Path) -> None:
    """Write a checkpoint atomically. ``identity`` describes its run (dataset, base, settings)."""
    content = dict(vars(state))
    content["alignments"] = {
        name: {"durations": alignment.durations, "score": alignment.score, "phone_gap": alignment.phone_gap}
        for name, alignment in state.alignments.items()
    }
    write_torch(path, {"format": FORMAT, "identity": identity, "state": content})


def load_checkpoint(path: Path) -> tuple[TrainingState, dict[str, str]]:
    """Read a checkpoint and the identity of its run.

    Raises:
        VoicecloneError: the file cannot be read, or is not a checkpoint of this version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}: {AFRESH}") from error
    except Exception as error:  # torch raises many exception types for damaged or unsafe files
        raise VoicecloneError(f"{path} is not a checkpoint, or is damaged: {AFRESH}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is int and 0 < found < FORMAT:
        raise VoicecloneError(f"{path} was written by an earlier version with another training method: {AFRESH}")
    if type(found) is not int or found != FORMAT:
        raise VoicecloneError(f"{path} is not a checkpoint of this version: {AFRESH}")
    try:
        fields = dict(content["state"])
        fields["alignments"] = {name: Alignment(**value) for name, value in fields["alignments"].items()}
        state = TrainingState(**fields)
        _check(state)
        return state, dict(content["identity"])
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise VoicecloneError(f"{path} is not a checkpoint of this version: {AFRESH}") from error


def copied_weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's current weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def restore_into(module: nn.Module | torch.optim.Optimizer, content: dict[str, Any]) -> None:
    """Load a checkpoint's state into a module or optimizer.

    Raises:
        VoicecloneError: it does not fit.
    """
    try:
        module.load_state_dict(content)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise VoicecloneError(f"the checkpoint's weights do not fit this version: {AFRESH}") from error


def _check(state: TrainingState) -> None:
    """Validate a loaded state.

    Raises:
        ValueError: a field has a wrong type, shape or sign, or values that are not finite.
    """
    for name in ("epoch", "step", "skipped_steps"):
        value = getattr(state, name)
        if type(value) is not int or not 0 <= value < 2**31:
            raise ValueError(name)
    anchor = state.anchor
    if not isinstance(anchor, Tensor) or tuple(anchor.shape) != (1, 256) or not anchor.is_floating_point():
        raise ValueError("anchor")
    for name in ("candidates", "dropped", "projection", "optimizer", "history"):
        if not isinstance(getattr(state, name), list if name == "history" else dict):
            raise ValueError(name)
    if not 0.0 <= state.phone_accuracy <= 1.0:
        raise ValueError("phone_accuracy")
    if not 0.0 <= state.phones_stock < math.inf:
        raise ValueError("phones_stock")
    if not math.isfinite(state.gain):
        raise ValueError("not finite")
    for alignment in state.alignments.values():
        durations = alignment.durations
        if not isinstance(durations, Tensor) or durations.dtype != torch.int64 or durations.ndim != 1:
            raise ValueError("alignments")
        if not len(durations) or int(durations.min()) < 1 or int(durations.max()) > 10**6:
            raise ValueError("alignments")
    own = (state.anchor, state.candidates, state.projection, state.optimizer)
    if not all(torch.isfinite(tensor).all() for tensor in _tensors(own)):
        raise ValueError("not finite")


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested mappings and sequences."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)
