"""Read and write a Mamba-Conv base folder.

Layout::

    config.json           ``system`` mamba-conv; vocabulary, sizes of the model and of the codec
    model.safetensors     the synthesizer
    codec.safetensors     the codec, unless it is EnCodec, which is read from the Hub's cache
    voices.safetensors    a voice for each speaker, ``(1, 1, 256)``: all rows are equal
    base.json             name, version, licence, metrics
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save

from voiceclone.bases.folder import read_info, read_stock_voices
from voiceclone.errors import VoicecloneError
from voiceclone.files import sha256_of, write_bytes, write_json
from voiceclone.models.checkpoint import load_strictly, read_state, save_state
from voiceclone.models.mamba_conv.bundle import Bundle, build
from voiceclone.models.mamba_conv.codec import Codec
from voiceclone.models.mamba_conv.config import SYSTEM

CODEC = "codec.safetensors"


def write_mamba_conv(folder: Path, bundle: Bundle, info: dict[str, Any]) -> None:
    """Write a base folder; ``base.json`` is written last."""
    folder = Path(folder)
    write_json(folder / "config.json", bundle.config_json())
    save_state(bundle.model, folder / "model.safetensors")
    if isinstance(bundle.codec, Codec):
        save_state(bundle.codec, folder / CODEC)
    voices = {name: voice[:1].contiguous() for name, voice in bundle.voices.items()}
    write_bytes(folder / "voices.safetensors", save(voices))
    facts = {"system": SYSTEM, "voices": sorted(voices), "sha256": sha256_of(folder / "model.safetensors")}
    write_json(folder / "base.json", {**info, **facts})


def read_mamba_conv(folder: Path) -> Bundle:
    """Read a base folder.

    Raises:
        VoicecloneError: a file is missing or damaged, or they do not belong together.
    """
    folder = Path(folder)
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise VoicecloneError(f"{path}: cannot be read ({error}): is this the folder of a base?") from error
    if not isinstance(config, dict) or config.get("system") != SYSTEM:
        raise VoicecloneError(f"{path}: is not the config of a {SYSTEM} base: give the folder of one")
    info = read_info(folder)
    model, codec = build(config, path)
    load_strictly(model, read_state(folder / "model.safetensors"), folder / "model.safetensors")
    if isinstance(codec, Codec):
        load_strictly(codec, read_state(folder / CODEC), folder / CODEC)
    voices = {name: pack.tensor for name, pack in read_stock_voices(folder).items()}
    return Bundle(model=model.eval(), codec=codec.eval(), vocab=config["vocab"], voices=voices, facts=info)
