"""Read tensors from a PyTorch checkpoint that ``weights_only=True`` refuses, without running anything in it.

StyleTTS2's published checkpoint pickles other objects beside its weights. The unpickler here rebuilds tensors and plain
containers; every other global in the file becomes an inert placeholder. It is the pure-Python unpickler of the standard
library, with each operation that calls, builds or looks something up replaced: nothing that the file names is imported,
called or given attributes, and no record is read beyond its end.
"""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from voiceclone.errors import VoicecloneError

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Placeholder:
    """An inert object that replaces any other object in the file."""

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def append(self, _item: Any) -> None:
        """Ignore an item of a list-like object."""

    def extend(self, _items: Any) -> None:
        """Ignore items of a list-like object."""

    def add(self, _item: Any) -> None:
        """Ignore an item of a set-like object."""


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_rest: Any) -> Tensor:
    """As ``torch._utils._rebuild_tensor_v2``; raises an error if the tensor would exceed its storage."""
    numbers = (offset, *size, *stride)
    if not isinstance(storage, Tensor) or len(size) != len(stride):
        raise ValueError("a tensor without storage")
    if not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
        raise ValueError("a tensor of impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if all(size) else 0
    count = 1
    for n in size:
        count *= n
    if last >= max(1, len(storage)) or count > len(storage):
        raise ValueError("a tensor beyond its storage")
    return storage.as_strided(size, stride, offset)


def _rebuild_parameter(data: Any, *_rest: Any) -> Any:
    return data


def _empty_mapping(*_items: Any) -> dict[Any, Any]:
    return {}


def _size(items: Any = ()) -> tuple[Any, ...]:
    return tuple(items) if isinstance(items, list | tuple) else ()


_REBUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("collections", "OrderedDict"): _empty_mapping,
    ("torch", "Size"): _size,
}


class TensorOnlyUnpickler(pickle._Unpickler):  # the C implementation cannot be restricted in this way
    """Runs a pickle whose only effects are plain values, containers and tensors over ``archive``'s records."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    if TYPE_CHECKING:  # of the class above, which type checkers do not know in full
        stack: list[Any]
        append: Callable[[Any], None]
        pop_mark: Callable[[], list[Any]]

    def __init__(self, program: bytes, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(program), encoding="utf-8", errors="replace")
        self.archive, self.prefix = archive, prefix
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return the rebuilder for ``module.name``, the dtype of a storage class, or the placeholder class."""
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        return _REBUILDERS.get((module, name), Placeholder)

    def persistent_load(self, pid: Any) -> Any:
        """The record ``("storage", dtype, key, location, numel)`` as a tensor ``(numel,)``."""
        kind, dtype, key, _location, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise ValueError("an unknown kind of record")
        if key not in self.storages:
            data = read_stored(self.archive, f"{self.prefix}data/{key}")
            if type(numel) is not int or len(data) != numel * dtype.itemsize:
                raise ValueError("a record of another length")
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self.storages[key]

    def get_extension(self, code: int) -> None:
        """An object of ``copyreg``'s registry: a placeholder."""
        self.append(Placeholder())

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(Placeholder())

    def _load_reduce(self) -> None:
        args, called = self.stack.pop(), self.stack.pop()
        known = any(called is rebuilder for rebuilder in _REBUILDERS.values())
        self.append(called(*args) if known and isinstance(args, tuple) else Placeholder())

    def _load_newobj(self) -> None:
        _args, made = self.stack.pop(), self.stack.pop()
        self.append({} if made is _empty_mapping else Placeholder())

    def _load_newobj_ex(self) -> None:
        self.stack.pop()
        self._load_newobj()

    def _load_build(self) -> None:
        self.stack.pop()  # the state; the object below it is not changed

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [(key, value)])

    def _load_setitems(self) -> None:
        items = self.pop_mark()
        self._set(self.stack[-1], zip(items[::2], items[1::2]))

    def _set(self, target: Any, items: Any) -> None:
        """Accept plain keys only, as in sets, because hashing nested tuples can take exponential time."""
        if isinstance(target, dict):
            target.update((key, value) for key, value in items if isinstance(key, str | int))

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(self.stack[-1], zip(items[::2], items[1::2]))

    def _load_additems(self) -> None:
        items = self.pop_mark()
        if isinstance(self.stack[-1], set):
            self.stack[-1].update(item for item in items if isinstance(item, str | int))

    def _load_frozenset(self) -> None:
        self.append(frozenset(item for item in self.pop_mark() if isinstance(item, str | int)))

    dispatch[pickle.DICT[0]] = _load_dict
    dispatch[pickle.ADDITEMS[0]] = _load_additems
    dispatch[pickle.FROZENSET[0]] = _load_frozenset
    dispatch[pickle.REDUCE[0]] = _load_reduce
    dispatch[pickle.NEWOBJ[0]] = _load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = _load_newobj_ex
    dispatch[pickle.BUILD[0]] = _load_build
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems


def read_stored(archive: zipfile.ZipFile, name: str) -> bytearray:
    """Read one member of an archive.

    Compressed members are rejected: torch writes none, and they could expand to any size.
    """
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError("a compressed record")
    return bytearray(archive.read(entry))


def load_tensors(path: Path) -> Any:
    """Load a zip-format checkpoint; tensors and containers are real, everything else is a :class:`Placeholder`.

    Mappings come back as plain dicts with string and integer keys.

    Raises:
        VoicecloneError: the file is missing, no zip-format checkpoint, a TorchScript archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {name.rsplit("/", 1)[-1]: name for name in archive.namelist()}
            if "constants.pkl" in found or "data.pkl" not in found:
                raise VoicecloneError(f"{path} is not a PyTorch checkpoint of weights: download it again")
            prefix = found["data.pkl"].removesuffix("data.pkl")
            order = f"{prefix}byteorder"
            if order in archive.namelist() and read_stored(archive, order).decode() != sys.byteorder:
                raise VoicecloneError(f"{path} was written on a machine of another byte order: download it again")
            return TensorOnlyUnpickler(bytes(read_stored(archive, found["data.pkl"])), archive, prefix).load()
    except VoicecloneError:
        raise
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    except zipfile.BadZipFile as error:
        raise VoicecloneError(f"{path} is not a PyTorch checkpoint (not a zip file): download it again") from error
    except Exception as error:  # damaged pickles raise various exceptions
        raise VoicecloneError(f"{path} is damaged ({type(error).__name__}): download it again") from error
