"""``.npy`` files that grow row by row, so that a corpus need not fit in memory while its features are computed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from voiceclone.files import atomic_path


class GrowingArray:
    """An array on disk to which rows are appended. It is valid after :meth:`close` has written the number of rows."""

    def __init__(self, stream: BinaryIO, kind: type[np.generic]) -> None:
        self._stream, self._kind = stream, np.dtype(kind)
        self._tail: tuple[int, ...] | None = None
        self._rows = 0

    def append(self, values: np.ndarray) -> None:
        """Append ``values`` ``(rows, ...)``, converted to the array's dtype."""
        if self._tail is None:
            self._tail = values.shape[1:]
            self._write_header()
        elif values.shape[1:] != self._tail:
            raise ValueError(f"rows of shape {values.shape[1:]} after rows of shape {self._tail}")
        self._stream.write(np.ascontiguousarray(values, dtype=self._kind).data)
        self._rows += len(values)

    def close(self) -> None:
        """Write the number of rows to the header."""
        self._stream.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        """Write the header in place: numpy reserves space in it for the first axis to grow."""
        shape = (self._rows, *(self._tail or ()))
        facts = {"descr": np.lib.format.dtype_to_descr(self._kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, facts)


@contextlib.contextmanager
def growing_arrays(folder: Path, kinds: Mapping[str, type[np.generic]]) -> Iterator[dict[str, GrowingArray]]:
    """``NAME.npy`` in ``folder`` for each of ``kinds``.

    At the end they replace older ones; on failure they are deleted.

    Raises:
        VoicecloneError: the folder cannot be written, or the disk is full.
    """
    with contextlib.ExitStack() as stack:
        arrays = {}
        for name, kind in kinds.items():
            temporary = stack.enter_context(atomic_path(folder / f"{name}.npy"))
            arrays[name] = GrowingArray(stack.enter_context(temporary.open("wb")), kind)
        yield arrays
        for array in arrays.values():
            array.close()
