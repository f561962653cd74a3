"""The names of a base's stock voices, and the base that ``auto`` selects, without loading a model or torch."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from voiceclone.bases.kokoro_weights import weights_at_hand
from voiceclone.errors import UsageError
from voiceclone.models import hub, presets, registry
from voiceclone.models.voice_hashes import VOICE_SHA256
from voiceclone.voice.space import KOKORO_SPACE, named_space

AUTO, KOKORO, NANO = "auto", "kokoro", "nano"
PARTS = (".mean", ".rows", ".basis")  # suffixes of a compact voice's tensors


def checked_base(which: str | os.PathLike[str]) -> str:
    """``which`` as text, if it is the name of a base, an existing folder, or an ONNX file.

    Raises:
        UsageError: it is none of these.
    """
    which = os.fspath(which)
    named = which in (AUTO, NANO, KOKORO) or Path(which).is_dir()
    if not named and not (Path(which).suffix.lower() == ".onnx" and Path(which).is_file()):
        raise UsageError(f"no base '{which}': use auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file")
    return which


def placed_base(which: str | os.PathLike[str]) -> str:
    """A base as a reference that is valid in any working directory: its name or its absolute path."""
    which = os.fspath(which)
    return which if which in (AUTO, NANO, KOKORO) else str(Path(which).resolve())


def planned_base(which: str | Path, *, offline: bool) -> str | Path:
    """The base that ``which`` will load: ``auto`` becomes ``kokoro`` or ``nano`` if that can be decided offline.

    Raises:
        VoicecloneError: the cached weights are not the published ones.
    """
    if which != AUTO:
        return which
    if weights_at_hand() is not None or registry.installed(registry.KOKORO_INT8) is not None:
        return KOKORO
    return NANO if hub.is_offline(offline) else AUTO


def stock_names(which: str | Path) -> tuple[str, ...] | None:
    """Names of the stock voices of a base, sorted; None if the base would have to be loaded.

    A base that shares Kokoro's voice space and has no voices of its own uses Kokoro's; both bases of ``auto`` do.
    """
    official = tuple(sorted(VOICE_SHA256))
    if which in (AUTO, KOKORO):
        return official
    folder = presets.NANO_FOLDER if which == NANO else Path(which)
    return _in_folder(folder) or (official if named_space(folder) == KOKORO_SPACE else None)


def default_voice(names: Collection[str]) -> str | None:
    """The default voice: the best known one of its base; None without voices."""
    return "af_heart" if "af_heart" in names else min(names, default=None)


def _in_folder(folder: Path) -> tuple[str, ...] | None:
    from safetensors import SafetensorError, safe_open

    packed = folder / "voices.safetensors"
    if not packed.is_file():
        return tuple(sorted(path.stem for path in (folder / "voices").glob("*.pt"))) or None
    try:
        with safe_open(str(packed), framework="np") as file:
            ranks = {key: len(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):  # reading the voices reports the error
        return None
    return tuple(sorted({_voice_of(key, rank) for key, rank in ranks.items()}))


def _voice_of(key: str, rank: int) -> str:
    """The name of the voice that a tensor of ``rank`` dimensions belongs to (see :mod:`voiceclone.voice.compact`)."""
    return key.removesuffix(next((part for part in PARTS if key.endswith(part)), "")) if rank in (1, 2) else key
