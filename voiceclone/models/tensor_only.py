"""Read tensors out of a PyTorch checkpoint that ``weights_only=True`` refuses, without running anything in it.

StyleTTS2's published checkpoint pickles other objects beside its weights. The unpickler here rebuilds tensors and plain
containers; every other global in the file becomes an inert placeholder, so no code that the file names can run.
"""

from __future__ import annotations

import collections
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from voiceclone.errors import VoicecloneError

_REBUILDERS = {
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): torch.Size,
}


class Placeholder:
    """Stands where the file wanted some other object: takes anything, does nothing."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> Placeholder:
        return Placeholder()

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def append(self, _item: Any) -> None:
        """Ignore an item of a list-like object."""

    def extend(self, _items: Any) -> None:
        """Ignore items of a list-like object."""


class TensorOnlyUnpickler(pickle.Unpickler):
    """``find_class`` admits what rebuilds tensors and gives :class:`Placeholder` for everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the rebuilder for ``module.name``, a storage class's dtype tag, or the placeholder."""
        return _REBUILDERS.get((module, name), Placeholder)


class _PickleModule:
    """The part of the ``pickle`` module's interface that ``torch.load`` asks of its ``pickle_module``."""

    __name__ = "voiceclone.models.tensor_only"
    Unpickler = TensorOnlyUnpickler
    PicklingError = pickle.PicklingError
    UnpicklingError = pickle.UnpicklingError


def load_tensors(path: Path) -> Any:
    """Load a zip-format checkpoint; tensors and containers are real, everything else is a :class:`Placeholder`.

    Raises:
        VoicecloneError: the file is missing, no zip-format checkpoint, a TorchScript archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.rsplit("/", 1)[-1] for name in archive.namelist()]
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    except zipfile.BadZipFile as error:
        raise VoicecloneError(f"{path} is no PyTorch checkpoint (not a zip file): download it again") from error
    if "constants.pkl" in names or "data.pkl" not in names:
        raise VoicecloneError(f"{path} is no PyTorch checkpoint of weights: download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_PickleModule)
    except Exception as error:
        raise VoicecloneError(f"{path} is damaged ({type(error).__name__}): download it again") from error
