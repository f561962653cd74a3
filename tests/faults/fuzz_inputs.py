"""Generators of hostile files: edits of valid files, words in any order, archives, pickle programs."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile

from hypothesis import strategies as st

CANARY = "canary"  # a file that pickled code in the inputs would make in the current folder

POSITION = st.integers(0, 700) | st.integers(-2000, -1) | st.integers(0, 2**20)
_EXTREMES = [("i", -1), ("i", 2**31 - 1), ("I", 2**31), ("H", 0), ("H", 65535), ("q", 2**62), ("q", -1), ("i", 10**6)]
NUMBERS = [struct.pack(f"<{kind}", value) for kind, value in _EXTREMES]
EDIT = st.one_of(
    st.tuples(st.just("set"), POSITION, st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("set"), POSITION, st.sampled_from(NUMBERS)),
    st.tuples(st.just("insert"), POSITION, st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("delete"), POSITION, st.integers(1, 64)),
    st.tuples(st.just("repeat"), POSITION, st.integers(1, 64)),
    st.tuples(st.just("cut"), POSITION, st.none()),
)


def edited(content: bytes, edits: list[tuple]) -> bytes:
    """``content`` after edits, each at a position modulo its length."""
    data = bytearray(content)
    for kind, where, what in edits:
        at = where % (len(data) + 1)
        if kind == "set":
            data[at : at + len(what)] = what
        elif kind == "insert":
            data[at:at] = what
        elif kind == "delete":
            del data[at : at + what]
        elif kind == "repeat":
            data[at:at] = data[at : at + what]
        else:
            del data[at:]
    return bytes(data)


def mutations(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Valid files with one to eight edits."""
    return st.builds(edited, st.sampled_from(seeds), st.lists(EDIT, min_size=1, max_size=8))


def soup(*words: str | bytes, free: st.SearchStrategy | None = None, most: int = 40) -> st.SearchStrategy:
    """Words in any order with arbitrary bytes between them."""
    kind = type(words[0])
    piece = st.sampled_from(words)
    piece = piece if free is None else piece | free
    return st.lists(piece, max_size=most).map(kind().join)


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive, stored."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    """Name -> content of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def inside(content: bytes, part: str) -> st.SearchStrategy[bytes]:
    """An archive whose member ``part`` is edited, with valid checksums."""
    files = unzipped(content)
    name = next(name for name in files if name.endswith(part))
    return mutations(files[name]).map(lambda new: zipped({**files, name: new}))


def canary_code() -> bytes:
    """A pickle that creates the canary file if it is executed."""

    class Canary:
        def __reduce__(self):
            return os.system, (f"touch {CANARY}",)

    return pickle.dumps(Canary(), protocol=2)


# Fragments of pickles: globals, values, calls, containers, memo, persistent ids, states.
PICKLE_WORDS = (
    b"\x80\x02", b".", b"(", b")", b"}", b"]", b"0", b"2", b"1", b"N", b"\x88", b"\x89", b"t", b"\x85", b"\x86",
    b"\x87", b"R", b"b", b"\x81", b"\x92", b"ios\nsystem\n", b"o", b"s", b"u", b"a", b"e", b"Q", b"\x93", b"\x8f",
    b"\x90", b"cos\nsystem\n", b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"ccollections\nOrderedDict\n",
    b"ctorch\nSize\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n", b"ctorch\nFloatStorage\n",
    b"ctorch\nQInt8Storage\n", b"ctorch.storage\nUntypedStorage\n", b"ctorch\nUntypedStorage\n",
    b"X\x07\x00\x00\x00storage", b"X\x01\x00\x00\x000", b"X\x03\x00\x00\x00cpu", b"X\x03\x00\x00\x00net",
    b"X\x0d\x00\x00\x00style_encoder", b"X\x11\x00\x00\x00predictor_encoder", b"K\x00", b"K\x01", b"K\x04",
    b"J\xff\xff\xff\x7f", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"q\x00", b"q\x01", b"h\x00",
    b"h\x01", b"r\xff\xff\xff\x00", b"j\x00\x00\x00\x00", b"\x82\x01", b"G" + struct.pack(">d", float("nan")),
    b"X\x0b\x00\x00\x00touch canar", b"C\x02ab", b"\x8c\x02ab", b"\x94", b"X\x0c\x00\x00\x00__defaults__",
    b"X\x08\x00\x00\x00__code__", b"X\x08\x00\x00\x00__dict__", b"X\x05\x00\x00\x00items", b"X\x03\x00\x00\x00get",
)  # fmt: skip


def pickles() -> st.SearchStrategy[bytes]:
    """Pickle programs: often well-formed at the start and the end, anything between."""
    body = soup(*PICKLE_WORDS, free=st.binary(max_size=3))
    return body | body.map(lambda middle: b"\x80\x02" + middle + b".")


def torch_archive(pickled: bytes, record: bytes = b"\0" * 16) -> bytes:
    """A file of the form that ``torch.save`` writes."""
    return zipped({"a/data.pkl": pickled, "a/data/0": record, "a/version": b"3\n", "a/byteorder": b"little"})


def saved(content: object) -> bytes:
    """What ``torch.save`` writes."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
