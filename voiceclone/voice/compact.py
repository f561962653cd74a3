"""The compact form of a voice: its mean row and a matrix of rank 16, about 50 KB instead of 510.

``voice[n, 0] = mean + rows[n] @ basis`` with ``mean`` (256,), ``rows`` (510, 16) and ``basis`` (16, 256), float32. Real
voices are smooth curves in the row index, so the error is small: 3e-5 at most in the official Kokoro voices. In a
safetensors file the three tensors of the voice NAME are called ``NAME.mean``, ``NAME.rows`` and ``NAME.basis``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from voiceclone.errors import VoicecloneError
from voiceclone.voice.pack import ROWS, VOICE_DIM, VoicePack

RANK = 16
TOLERANCE = 1e-3  # largest accepted error of a value; float16 rounds the largest values of a voice as coarsely
PARTS = ("mean", "rows", "basis")


def compress(pack: VoicePack, *, tolerance: float = TOLERANCE) -> dict[str, Tensor]:
    """The three tensors of a voice, by the names of :data:`PARTS`: ``(256,)``, ``(510, 16)`` and ``(16, 256)``.

    Raises:
        VoicecloneError: a value would change by more than ``tolerance``.
    """
    rows = pack.tensor[:, 0].double()
    mean = rows.mean(dim=0)
    left, sizes, right = torch.linalg.svd(rows - mean, full_matrices=False)
    root = sizes[:RANK].sqrt()
    parts = {
        "mean": mean.float(),
        "rows": (left[:, :RANK] * root).float().contiguous(),
        "basis": (root[:, None] * right[:RANK]).float().contiguous(),
    }
    error = float((expand_compact(parts, pack.name).tensor - pack.tensor).abs().max())
    if error > tolerance:
        raise VoicecloneError(
            f"voice '{pack.name}' has no compact form: rank {RANK} changes its values by up to {error:.2g}, more than "
            f"{tolerance:g}, since its rows are not a smooth curve: use --to safetensors"
        )
    return parts


def expand_compact(parts: Mapping[str, Tensor], name: str) -> VoicePack:
    """The voice of the three tensors; multiplied in float64, so that every machine gets the same values.

    Raises:
        VoicecloneError: a tensor is missing, or they do not fit together.
    """
    missing = [part for part in PARTS if part not in parts]
    if missing:
        raise VoicecloneError(f"voice '{name}': its compact form lacks {', '.join(missing)}")
    mean, rows, basis = (parts[part] for part in PARTS)
    rank = rows.shape[-1] if rows.ndim == 2 else 0
    fits = mean.shape == (VOICE_DIM,) and rows.shape == (ROWS, rank) and basis.shape == (rank, VOICE_DIM)
    if not (fits and 0 < rank <= VOICE_DIM and all(parts[part].is_floating_point() for part in PARTS)):
        shapes = ", ".join(f"{part} {tuple(parts[part].shape)}" for part in PARTS)
        raise VoicecloneError(f"voice '{name}': its compact form has the wrong shapes: {shapes}")
    return VoicePack((mean.double() + rows.double() @ basis.double())[:, None], name)


VOICES = "voices.safetensors"  # a base's stock voices, which may be stored without their last rows


def all_rows(tensor: Tensor) -> Tensor:
    """A stock voice of a base with all rows, ``(510, 1, 256)``: the last stored row is repeated.

    Other shapes are returned unchanged; :class:`VoicePack` refuses them.
    """
    if tensor.ndim == 3 and 0 < len(tensor) < ROWS:
        return torch.cat([tensor, tensor[-1:].expand(ROWS - len(tensor), -1, -1)])
    return tensor


def voices_of(tensors: Mapping[str, Tensor]) -> dict[str, VoicePack]:
    """The voices of a safetensors file, in order of their names; full and compact ones may be mixed.

    Raises:
        VoicecloneError: a tensor is neither a voice nor a part of one.
    """
    compact: dict[str, dict[str, Tensor]] = {}
    found = {}
    for key, tensor in tensors.items():
        name, dot, part = key.rpartition(".")
        if dot and part in PARTS and tensor.ndim in (1, 2):
            compact.setdefault(name, {})[part] = tensor
        else:
            found[key] = VoicePack(tensor, key)
    found |= {name: expand_compact(parts, name) for name, parts in compact.items()}
    return dict(sorted(found.items()))


def compact_keys(parts: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of a voice by their keys in a file."""
    return {f"{name}.{part}": tensor for part, tensor in parts.items()}
