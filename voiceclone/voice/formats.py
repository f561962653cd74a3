"""Voices in the files other Kokoro programs read.

===========  ==========================================================================================
format       content
===========  ==========================================================================================
pt           bare float32 tensor (510, 1, 256), for ``kokoro``
npz, bin     NumPy archive {name: (510, 1, 256) float32}, for kokoro-onnx (its ``voices-v1.0.bin`` is one)
kokoro-js    raw little-endian float32, 510 x 256, for kokoro.js
safetensors  {name: (510, 1, 256)} with provenance in the header
===========  ==========================================================================================
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_bytes, write_torch
from voiceclone.voice.pack import SHAPE, VoicePack
from voiceclone.voice.provenance import Provenance, to_header

FORMATS = ("pt", "npz", "bin", "kokoro-js", "safetensors")
SEVERAL = ("npz", "bin", "safetensors")  # formats that hold more than one voice
RAW_BYTES = 4 * SHAPE[0] * SHAPE[1] * SHAPE[2]
_MAX_VOICES = 2000  # an archive with more is no voice file
_MAX_ENTRY_BYTES = 2 * RAW_BYTES + 4096  # float64 and a header


def read_voices(path: Path) -> dict[str, VoicePack]:
    """Read every voice of a file in any of the formats; nothing in it is ever run.

    Raises:
        UsageError: there is no such file.
        VoicecloneError: it holds no voices.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no voice file at {path}: check the path")
    if path.suffix == ".safetensors":
        from voiceclone.models.checkpoint import read_safetensors

        tensors = read_safetensors(path)
        return {_plain(name, path): VoicePack(tensor, name) for name, tensor in sorted(tensors.items())}
    if path.suffix in (".npz", ".bin"):
        if path.stat().st_size == RAW_BYTES and not zipfile.is_zipfile(path):
            raw = np.frombuffer(path.read_bytes(), dtype="<f4").reshape(SHAPE)
            return {path.stem: VoicePack(torch.from_numpy(raw.copy()), path.stem)}
        return _read_archive(path)
    pack = VoicePack.load(path)
    return {pack.name: pack}


def write_voices(
    path: Path, packs: Mapping[str, VoicePack], form: str, *, provenance: Mapping[str, Provenance] | None = None
) -> None:
    """Write voices as ``form``; atomic.

    Args:
        provenance: by voice; only safetensors files have a place for it.

    Raises:
        UsageError: no such format, or several voices for a format that holds one.
    """
    path = Path(path)
    if form not in FORMATS:
        raise UsageError(f"--to {form!r}: use one of {', '.join(FORMATS)}")
    if not packs or (len(packs) > 1 and form not in SEVERAL):
        raise UsageError(
            f"a {form} file holds exactly one voice, not {len(packs)}: choose one, or use npz, bin, safetensors"
        )
    if form == "pt":
        write_torch(path, next(iter(packs.values())).tensor)
    elif form == "kokoro-js":
        write_bytes(path, next(iter(packs.values())).tensor.numpy().astype("<f4").tobytes())
    elif form == "safetensors":
        from safetensors.torch import save

        write_bytes(path, save({n: p.tensor for n, p in packs.items()}, metadata=to_header(provenance or {})))
    else:
        buffer = io.BytesIO()
        # Not np.savez: it cannot store a voice called "file", and the archive would differ from second to second.
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, pack in packs.items():
                array = io.BytesIO()
                np.lib.format.write_array(array, pack.tensor.numpy(), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())
        write_bytes(path, buffer.getvalue())


def _read_archive(path: Path) -> dict[str, VoicePack]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if not entries:
            raise VoicecloneError(f"{path} is no voice file: it is an empty archive")
        if len(entries) > _MAX_VOICES or any(entry.file_size > _MAX_ENTRY_BYTES for entry in entries):
            raise VoicecloneError(f"{path} is no voice file: its entries are larger than voices")
        with np.load(path, allow_pickle=False) as archive:
            return {
                _plain(name, path): VoicePack(torch.from_numpy(archive[name].astype(np.float32)), name)
                for name in archive.files
            }
    except VoicecloneError:
        raise
    except Exception as error:  # zipfile and NumPy raise many kinds for damaged files
        raise VoicecloneError(f"{path} is no kokoro-onnx or kokoro.js voice file: check the path") from error


def _plain(name: str, path: Path) -> str:
    """A voice's name in a file of several; one that is a path is refused, since other programs may follow it."""
    if not name or name.startswith(".") or any(c in "/\\:" or not c.isprintable() for c in name):
        raise VoicecloneError(f"{path} is no voice file: {name[:80]!r} is no name of a voice")
    return name
