"""Voices in the files other Kokoro programs read.

===========  ==========================================================================================
format       content
===========  ==========================================================================================
pt           bare float32 tensor (510, 1, 256), for ``kokoro``, with provenance as one more entry of the archive
npz, bin     NumPy archive {name: (510, 1, 256) float32}, for kokoro-onnx (its ``voices-v1.0.bin`` is one)
kokoro-js    raw little-endian float32, 510 x 256, for kokoro.js
safetensors  {name: (510, 1, 256)} with provenance in the header
compact      safetensors of the three tensors of :mod:`voiceclone.voice.compact`, a tenth of the size
===========  ==========================================================================================

The format is recognised by the content, not by the name.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_bytes
from voiceclone.voice.compact import VOICES, all_rows, compact_keys, compress, voices_of
from voiceclone.voice.pack import SHAPE, VoicePack
from voiceclone.voice.provenance import Provenance, to_header

FORMATS = ("pt", "npz", "bin", "kokoro-js", "safetensors", "compact")
SEVERAL = ("npz", "bin", "safetensors", "compact")  # formats that hold more than one voice
RAW_BYTES = 4 * SHAPE[0] * SHAPE[1] * SHAPE[2]
MAX_TORCH_BYTES = 64 * 2**20  # an official .pt has half a megabyte
_MAX_VOICES = 2000  # an archive with more is not a voice file
_MAX_ENTRY_BYTES = 2 * RAW_BYTES + 4096  # float64 and a header


def read_voice(path: Path, name: str | None = None) -> VoicePack:
    """Read one voice of a file: the only one, or the one called ``name``.

    Raises:
        UsageError: there is no such file, no voice of that name in it, or several voices and no name.
        VoicecloneError: it holds no voices.
    """
    found = read_voices(path)
    names = ", ".join(sorted(found))
    if name is None and len(found) > 1:
        raise UsageError(f"{path} holds {len(found)} voices: choose one as {path}:NAME ({names})")
    if name is not None and name not in found:
        raise UsageError(f"{path} holds no voice '{name}', but {names}")
    return found[name] if name is not None else next(iter(found.values()))


def read_voices(path: Path) -> dict[str, VoicePack]:
    """Read every voice of a file in any of the formats; nothing in it is ever run.

    Raises:
        UsageError: there is no such file.
        VoicecloneError: it holds no voices.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no voice file at {path}: check the path")
    try:
        kind = _kind(path)
        if kind == "kokoro-js":
            raw = np.frombuffer(path.read_bytes(), dtype="<f4").reshape(SHAPE)
            return {path.stem: _pack(torch.from_numpy(raw.copy()), path.stem, path)}
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    if kind == "safetensors":
        return _read_safetensors(path)
    return _read_archive(path) if kind == "npz" else _read_torch(path)


def write_voices(
    path: Path, packs: Mapping[str, VoicePack], form: str, *, provenance: Mapping[str, Provenance] | None = None
) -> None:
    """Write voices as ``form``; atomic.

    Args:
        provenance: by voice; npz, bin and kokoro-js files cannot store it.

    Raises:
        UsageError: no such format, several voices for a format that holds one, or an invalid name.
        VoicecloneError: a voice has no compact form.
    """
    path = Path(path)
    if form not in FORMATS:
        raise UsageError(f"--to {form!r}: use one of {', '.join(FORMATS)}")
    if not packs or (len(packs) > 1 and form not in SEVERAL):
        raise UsageError(
            f"a {form} file holds exactly one voice, not {len(packs)}: choose one, or use {', '.join(SEVERAL)}"
        )
    if form in SEVERAL and (wrong := [name for name in packs if not _is_plain(name)]):
        raise UsageError(f"{wrong[0][:80]!r} is not a name of a voice within a file: give another with --name")
    if form == "pt":
        next(iter(packs.values())).save(path, provenance=provenance)
    elif form == "kokoro-js":
        write_bytes(path, next(iter(packs.values())).tensor.numpy().astype("<f4").tobytes())
    elif form in ("npz", "bin"):
        write_bytes(path, _archive(packs))
    else:
        from safetensors.torch import save

        tensors: dict[str, Tensor] = {}
        for name, pack in packs.items():
            tensors |= {name: pack.tensor} if form == "safetensors" else compact_keys(compress(pack), name)
        write_bytes(path, save(tensors, metadata=to_header(provenance or {})))


def _kind(path: Path) -> str:
    """The format of a file by its content: pt, npz, kokoro-js or safetensors.

    Raises:
        VoicecloneError: it is none of them.
    """
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [os.path.basename(name) for name in archive.namelist()]
        except Exception:  # a damaged list; the reader of archives reports it
            names = []
        return "pt" if "data.pkl" in names else "npz"
    if size == RAW_BYTES:
        return "kokoro-js"
    with path.open("rb") as stream:
        start = stream.read(9)
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return "safetensors"
    if start[:2] == b"\x80\x02":  # a pickle of protocol 2: what PyTorch wrote before version 1.6
        return "pt"
    raise VoicecloneError(
        f"{path} is not a Kokoro voice: its content is that of no .pt, .npz, .bin or .safetensors file of voices"
    )


def _read_torch(path: Path) -> dict[str, VoicePack]:
    """A bare tensor; nothing else is unpickled."""
    if path.stat().st_size > MAX_TORCH_BYTES:
        raise VoicecloneError(f"{path} is not a Kokoro voice: a voice has half a megabyte")
    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # torch raises many exception types for damaged or unsafe files
        raise VoicecloneError(f"{path} is not a Kokoro voice: it does not load as a bare tensor") from error
    return {path.stem: _pack(tensor, path.stem, path)}


def _read_safetensors(path: Path) -> dict[str, VoicePack]:
    from voiceclone.models.checkpoint import read_safetensors

    tensors = read_safetensors(path)
    if not tensors:
        raise VoicecloneError(f"{path} is not a voice file: it is empty")
    if path.name == VOICES:
        tensors = {name: all_rows(tensor) for name, tensor in tensors.items()}
    try:
        found = voices_of(tensors)
    except VoicecloneError as error:
        raise VoicecloneError(f"{path}: {error}") from error
    return {_plain(name, path): pack for name, pack in found.items()}


def _read_archive(path: Path) -> dict[str, VoicePack]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if not entries:
            raise VoicecloneError(f"{path} is not a voice file: it is an empty archive")
        if len(entries) > _MAX_VOICES or any(entry.file_size > _MAX_ENTRY_BYTES for entry in entries):
            raise VoicecloneError(f"{path} is not a voice file: its entries are larger than voices")
        with np.load(path, allow_pickle=False) as archive:
            return {
                _plain(name, path): _pack(torch.from_numpy(archive[name].astype(np.float32)), name, path)
                for name in archive.files
            }
    except VoicecloneError:
        raise
    except Exception as error:  # zipfile and NumPy raise various exceptions for damaged files
        raise VoicecloneError(f"{path} is not a kokoro-onnx or kokoro.js voice file: check the path") from error


def _archive(packs: Mapping[str, VoicePack]) -> bytes:
    """Not np.savez: it cannot store a voice called "file", and its archives contain the time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, pack in packs.items():
            array = io.BytesIO()
            np.lib.format.write_array(array, pack.tensor.numpy(), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())
    return buffer.getvalue()


def _pack(tensor: object, name: str, path: Path) -> VoicePack:
    """The voice of a tensor; errors name the file."""
    try:
        return VoicePack(tensor, name)
    except VoicecloneError as error:
        raise VoicecloneError(f"{path}: {error}") from error


def _is_plain(name: str) -> bool:
    """Whether a name is no path, which other programs might open."""
    return bool(name) and not name.startswith(".") and not any(c in "/\\:" or not c.isprintable() for c in name)


def _plain(name: str, path: Path) -> str:
    """Check a voice's name in a file of several."""
    if not _is_plain(name):
        raise VoicecloneError(f"{path} is not a voice file: {name[:80]!r} is not a name of a voice")
    return name
