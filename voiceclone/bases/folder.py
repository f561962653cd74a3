"""Read the parts of a base folder; its layout is documented in :mod:`voiceclone.bases.base`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from voiceclone.errors import VoicecloneError
from voiceclone.models import hub
from voiceclone.models.checkpoint import load_strictly, read_safetensors
from voiceclone.models.styletts2.diffusion import StyleDiffusion, denoiser_config
from voiceclone.style.encoders import (
    StyleEncoderConfig,
    StyleEncoders,
    load_style_encoders,
    load_styletts2_checkpoint,
)
from voiceclone.voice.compact import VOICES, all_rows, voices_of
from voiceclone.voice.pack import VoicePack

STYLE_SAMPLER = "style_diffusion.safetensors"
_CONFIG_KEYS = frozenset(
    [
        "istftnet",
        "dropout",
        "hidden_dim",
        "max_dur",
        "n_layer",
        "n_mels",
        "n_token",
        "style_dim",
        "text_encoder_kernel_size",
        "plbert",
        "vocab",
    ]
)


def read_config(path: Path) -> dict[str, Any]:
    """Read and check a Kokoro ``config.json``.

    Raises:
        VoicecloneError: it is missing, no JSON, or lacks keys.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VoicecloneError(
            f"cannot read {path}: {error.strerror or error}: is this the folder of a base?"
        ) from error
    except (ValueError, RecursionError) as error:
        raise VoicecloneError(f"{path} is not a JSON file: fetch or write it again") from error
    missing = _CONFIG_KEYS - set(config) if isinstance(config, dict) else _CONFIG_KEYS
    if missing:
        raise VoicecloneError(f"{path} is not a Kokoro config: it lacks {', '.join(sorted(missing))}")
    vocab, tokens = config["vocab"], config["n_token"]
    known = isinstance(vocab, dict) and isinstance(tokens, int)
    if not known or not all(type(number) is int and 0 <= number < tokens for number in vocab.values()):
        raise VoicecloneError(f"{path} is not a Kokoro config: its vocab must give each symbol a number below n_token")
    return config


def system_of(folder: Path) -> str | None:
    """The ``system`` in a base folder's ``config.json``; None where there is none."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # reading it later reports the error
        return None
    found = config.get("system") if isinstance(config, dict) else None
    return found if isinstance(found, str) else None


def read_info(folder: Path) -> dict[str, Any]:
    """The content of ``base.json``, or empty; the weights are checked against its hash.

    Raises:
        VoicecloneError: it is not a JSON object, or the weights do not match its hash.
    """
    path = folder / "base.json"
    if not path.is_file():
        return {}
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise VoicecloneError(f"{path} is not a JSON file: write it again or remove it") from error
    if not isinstance(info, dict):
        raise VoicecloneError(f"{path} must hold a JSON object")
    expected = info.get("sha256")
    if isinstance(expected, str):
        hub.check_hash(weight_file(folder), expected)
    return info


def weight_file(folder: Path) -> Path:
    """The file with the model's weights.

    Raises:
        VoicecloneError: there is none, or more than one.
    """
    if (single := folder / "model.safetensors").is_file():
        return single
    found = [path for path in sorted(folder.glob("*.pth")) if not path.name.startswith("epochs_2nd")]
    if len(found) != 1:
        raise VoicecloneError(
            f"{folder} holds {len(found)} weight files: a base has one model.safetensors or one .pth (kokoro-v1_0.pth)"
        )
    return found[0]


def has_encoders(folder: Path) -> bool:
    """Whether a folder contains style encoders."""
    return (folder / "style_encoders.safetensors").is_file() or bool(_checkpoint_files(folder))


def read_encoders(folder: Path, config: StyleEncoderConfig) -> StyleEncoders:
    """The pair of style encoders that cloning uses.

    Raises:
        VoicecloneError: the folder has none, or the file does not fit.
    """
    if (safetensors := folder / "style_encoders.safetensors").is_file():
        return load_style_encoders(safetensors, config)
    return load_styletts2_checkpoint(_checkpoint_file(folder), config)


def _checkpoint_file(folder: Path) -> Path:
    found = _checkpoint_files(folder)
    if not found:
        raise VoicecloneError(
            f"{folder} holds no style encoders: put style_encoders.safetensors or StyleTTS2-LibriTTS's "
            "epochs_2nd_00020.pth there"
        )
    return found[0]


def _checkpoint_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("epochs_2nd_*.pth")) + sorted(folder.glob("*/**/epochs_2nd_*.pth"))


def encoder_config(folder: Path, info: Mapping[str, Any]) -> StyleEncoderConfig:
    """Widths of the folder's style encoders, from ``base.json``, or StyleTTS2's by default."""
    widths = info.get("encoder", {})
    try:
        return StyleEncoderConfig(**widths)
    except (TypeError, ValueError) as error:
        raise VoicecloneError(f"{folder / 'base.json'}: bad widths of the style encoders: {error}") from error


def has_style_sampler(folder: Path) -> bool:
    """True where a folder contains a style sampler."""
    return (folder / STYLE_SAMPLER).is_file()


def read_style_sampler(folder: Path, config: Mapping[str, Any]) -> StyleDiffusion:
    """The style sampler trained with this base, in eval mode.

    Raises:
        VoicecloneError: its file does not fit.
    """
    state = read_safetensors(folder / STYLE_SAMPLER)
    reference = any(key.startswith("denoiser.reference.") for key in state)
    with torch.random.fork_rng(devices=[]):
        sampler = StyleDiffusion(denoiser_config(config, reference=reference))
    load_strictly(sampler, {key: value.float() for key, value in state.items()}, folder / STYLE_SAMPLER)
    return sampler.eval().requires_grad_(False)


def read_stock_voices(folder: Path) -> dict[str, VoicePack]:
    """The stock voices in a base folder, by name; may be empty.

    Raises:
        VoicecloneError: a file is damaged or holds something else.
    """
    packed = folder / VOICES
    if packed.is_file():
        return voices_of({name: all_rows(tensor) for name, tensor in read_safetensors(packed).items()})
    return {path.stem: VoicePack.load(path) for path in sorted((folder / "voices").glob("*.pt"))}
