"""Build a Kokoro-format model from its config, and load weights into one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import fold_weight_norm, load_strictly, read_state

if TYPE_CHECKING:
    from kokoro import KModel

_DRAWING = (torch.Tensor.uniform_, torch.Tensor.normal_)


def build_kmodel(config: Mapping[str, Any], source: Path, *, initialize: bool = True) -> KModel:
    """Build the model that a config describes; the caller's random state is kept.

    Args:
        config: Kokoro's config, with a ``nano`` key for a narrow decoder.
        source: where the config is from, for messages.
        initialize: draw random weights. Without it they are uninitialized memory: for loading, where
            drawing 82 million numbers would take longer than everything else.

    Raises:
        VoicecloneError: no model can be built from the config.
    """
    from voiceclone.models.nano import NanoKModel

    try:
        with torch.random.fork_rng(devices=[]), contextlib.nullcontext() if initialize else _WithoutDrawing():
            return NanoKModel(dict(config))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise VoicecloneError(f"{source}: no model can be built from this config: {error}") from error


def load_kmodel(config: Mapping[str, Any], config_path: Path, weights: Path) -> KModel:
    """The model with the weights of a file: frozen, in eval mode, float32, weight norm folded.

    Raises:
        VoicecloneError: the config or the weights cannot be used, or do not belong together.
    """
    kmodel = build_kmodel(config, config_path, initialize=False)
    load_strictly(kmodel, read_state(weights), weights)
    fold_weight_norm(kmodel)
    return kmodel.eval().requires_grad_(False)


class _WithoutDrawing(TorchFunctionMode):
    """Within the block, ``tensor.uniform_()`` and ``tensor.normal_()`` do nothing."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func in _DRAWING:
            return args[0]
        return func(*args, **(kwargs or {}))
