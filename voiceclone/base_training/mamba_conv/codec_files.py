"""A trained codec as a folder: ``codec.safetensors`` and ``codec.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_json
from voiceclone.models.checkpoint import load_strictly, read_state, save_state
from voiceclone.models.mamba_conv.codec import Codec
from voiceclone.models.mamba_conv.config import CodecConfig, config_from, config_json

WEIGHTS, FACTS = "codec.safetensors", "codec.json"


def save_codec(codec: Codec, folder: Path, facts: dict[str, Any]) -> None:
    """Write a codec. The facts are written last: they mark it as complete."""
    save_state(codec, folder / WEIGHTS)
    write_json(folder / FACTS, {"config": config_json(codec.config), **facts})


def read_codec_facts(folder: Path) -> dict[str, Any]:
    """The facts that :func:`save_codec` wrote; empty where there is no codec."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise VoicecloneError(f"{folder / FACTS}: is not a JSON file: train the codec again") from error
    return facts if isinstance(facts, dict) else {}


def load_codec(folder: Path) -> Codec:
    """Load a codec, frozen.

    Raises:
        UsageError: there is none.
        VoicecloneError: its files are damaged.
    """
    folder = Path(folder)
    facts = read_codec_facts(folder)
    if "config" not in facts:
        raise UsageError(f"--codec {folder}: holds no codec: give the folder of one, own or encodec")
    try:
        with torch.random.fork_rng(devices=[]):
            codec = Codec(config_from(CodecConfig, facts["config"]))
    except (TypeError, ValueError, RuntimeError) as error:
        raise VoicecloneError(f"{folder / FACTS}: no codec can be built from this ({error}): train it again") from error
    load_strictly(codec, read_state(folder / WEIGHTS), folder / WEIGHTS)
    return codec.eval().requires_grad_(False)
