"""A base: a Kokoro-format model, the style encoders the clone pipeline uses, and the base's stock voices.

Layout of a base folder::

    config.json                  Kokoro's config; a "nano" key holds the widths of a narrow decoder
    model.safetensors | *.pth    the five-part weights
    style_encoders.safetensors   keys acoustic.*, prosodic.*  (or StyleTTS2's own epochs_2nd_*.pth)
    own_encoders.safetensors     optional: the pair the base was trained with, for measuring its ceiling
    voices.safetensors | voices/NAME.pt   in safetensors, the last row stands for all that lack
    base.json                    optional: name, version, licence, widths of the encoders
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.models import hub
from voiceclone.models.checkpoint import fold_weight_norm, load_strictly, read_safetensors, read_state
from voiceclone.style.encoders import (
    StyleEncoderConfig,
    StyleEncoders,
    load_style_encoders,
    load_styletts2_checkpoint,
)
from voiceclone.voice.compact import voices_of
from voiceclone.voice.pack import ROWS, VoicePack

if TYPE_CHECKING:
    from kokoro import KModel, KPipeline

NANO_FOLDER = Path(__file__).parent / "assets" / "nano"
STOCK_KOKORO = "kokoro"  # ``Base.kind`` of a base whose voices stock Kokoro can speak with
NANO = "nano"
CUSTOM = "custom"
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """A loaded base. ``kmodel`` is frozen, in eval mode, float32, on the CPU, with weight norm folded."""

    name: str
    kind: str  # "kokoro", "nano" or "custom"
    kmodel: KModel = field(repr=False)
    style_encoders: StyleEncoders = field(repr=False)
    own_encoders: StyleEncoders | None = field(default=None, repr=False)
    stock_voices: Mapping[str, VoicePack] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sha256: str = ""  # of the weight file
    folder: Path | None = None  # None for the real Kokoro, whose files lie in the Hub's cache

    def pipeline(self, lang: str = "a", *, offline: bool = False) -> KPipeline:
        """A real ``kokoro.KPipeline`` on this model that knows the stock voices by name."""
        from voiceclone.text.g2p import build_pipeline

        pipeline = build_pipeline(lang, self.kmodel, offline=offline)
        pipeline.voices.update({name: pack.tensor for name, pack in self.stock_voices.items()})
        return pipeline


def load_base(which: str | Path = "auto", *, offline: bool = False) -> Base:
    """Load ``"nano"``, ``"kokoro"``, ``"auto"`` or a base folder.

    ``auto`` is ``kokoro`` when its files are cached or the Hub answers within 10 s, ``nano`` otherwise.

    Raises:
        UsageError: no such base.
        VoicecloneError: its files cannot be had, are damaged or do not belong together.
    """
    which = _resolve(which, offline=offline)
    if which == NANO:
        return _load_folder(NANO_FOLDER, kind=NANO)
    if which == STOCK_KOKORO:
        return _load_real(offline=offline)
    return _load_folder(Path(which), kind=CUSTOM)


def load_stock_voices(which: str | Path = "auto", *, offline: bool = False) -> dict[str, VoicePack]:
    """Only the stock voices of a base, by name: no model is loaded; see :func:`load_base`.

    Raises:
        UsageError: no such base.
        VoicecloneError: a voice cannot be had or is damaged.
    """
    which = _resolve(which, offline=offline)
    if which == STOCK_KOKORO:
        return _real_voices()
    return _read_voices(NANO_FOLDER if which == NANO else Path(which))


def _resolve(which: str | Path, *, offline: bool) -> str | Path:
    """``auto`` becomes ``kokoro`` or ``nano``; a folder must exist."""
    if which == "auto":
        reachable = hub.all_cached() or (not hub.is_offline(offline) and hub.hub_answers())
        return STOCK_KOKORO if reachable else NANO
    if which not in (NANO, STOCK_KOKORO) and not Path(which).is_dir():
        raise UsageError(f"no base '{which}': use auto, kokoro, nano, or the folder of a base")
    return which


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
        raise VoicecloneError(f"{path} is no JSON file: fetch or write it again") from error
    missing = _CONFIG_KEYS - set(config) if isinstance(config, dict) else _CONFIG_KEYS
    if missing:
        raise VoicecloneError(f"{path} is no Kokoro config: it lacks {', '.join(sorted(missing))}")
    vocab, tokens = config["vocab"], config["n_token"]
    known = isinstance(vocab, dict) and isinstance(tokens, int)
    if not known or not all(type(number) is int and 0 <= number < tokens for number in vocab.values()):
        raise VoicecloneError(f"{path} is no Kokoro config: its vocab must give each symbol a number below n_token")
    return config


def build_kmodel(config: Mapping[str, Any], source: Path) -> KModel:
    """Build the model a config describes, with random weights; the caller's random state is kept."""
    import torch

    from voiceclone.models.nano import NanoKModel

    try:
        with torch.random.fork_rng(devices=[]):
            return NanoKModel(dict(config))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise VoicecloneError(f"{source}: no model can be built from this config: {error}") from error


def _load_folder(folder: Path, *, kind: str) -> Base:
    config_path = folder / "config.json"
    weights = _weight_file(folder)
    info = read_info(folder)
    config = read_config(config_path)
    encoders_config = _encoder_config(folder, info)
    if (safetensors := folder / "style_encoders.safetensors").is_file():
        encoders = load_style_encoders(safetensors, encoders_config)
    else:
        encoders = load_styletts2_checkpoint(_checkpoint_file(folder), encoders_config)
    own = folder / "own_encoders.safetensors"
    sha256 = sha256_of(weights)
    kind = STOCK_KOKORO if sha256 == hub.KOKORO_WEIGHTS.sha256 else kind
    return Base(
        name=str(info.get("name", folder.name)),
        kind=kind,
        kmodel=_load_kmodel(config, config_path, weights),
        style_encoders=encoders,
        own_encoders=load_style_encoders(own, encoders_config) if own.is_file() else None,
        stock_voices=_read_voices(folder) or (_real_voices() if kind == STOCK_KOKORO else {}),
        config=config,
        info=info,
        sha256=sha256,
        folder=folder,
    )


def _load_real(*, offline: bool) -> Base:
    """The real Kokoro-82M with StyleTTS2-LibriTTS's encoders, from the Hub cache or downloaded."""
    config_path = hub.fetch(hub.KOKORO_CONFIG, offline=offline)
    weights = hub.fetch(hub.KOKORO_WEIGHTS, offline=offline)
    checkpoint = hub.fetch(hub.STYLETTS2_CHECKPOINT, offline=offline)
    config = read_config(config_path)
    return Base(
        name="Kokoro-82M",
        kind=STOCK_KOKORO,
        kmodel=_load_kmodel(config, config_path, weights),
        style_encoders=load_styletts2_checkpoint(checkpoint, StyleEncoderConfig()),
        stock_voices=_real_voices(),
        config=config,
        info={"name": "Kokoro-82M", "licence": "Apache-2.0", "style_encoders": str(checkpoint)},
        sha256=sha256_of(weights),
    )


def _real_voices() -> dict[str, VoicePack]:
    """The official voices, out of the package."""
    from voiceclone.voice.official import official_voices

    return official_voices()


def _load_kmodel(config: Mapping[str, Any], config_path: Path, weights: Path) -> KModel:
    kmodel = build_kmodel(config, config_path)
    load_strictly(kmodel, read_state(weights), weights)
    fold_weight_norm(kmodel)
    return kmodel.eval().requires_grad_(False)


def _weight_file(folder: Path) -> Path:
    if (single := folder / "model.safetensors").is_file():
        return single
    found = [path for path in sorted(folder.glob("*.pth")) if not path.name.startswith("epochs_2nd")]
    if len(found) != 1:
        raise VoicecloneError(
            f"{folder} holds {len(found)} weight files: a base has one model.safetensors or one .pth (kokoro-v1_0.pth)"
        )
    return found[0]


def _checkpoint_file(folder: Path) -> Path:
    found = sorted(folder.glob("epochs_2nd_*.pth")) + sorted(folder.glob("*/**/epochs_2nd_*.pth"))
    if not found:
        raise VoicecloneError(
            f"{folder} holds no style encoders: put style_encoders.safetensors or StyleTTS2-LibriTTS's "
            "epochs_2nd_00020.pth there"
        )
    return found[0]


def read_info(folder: Path) -> dict[str, Any]:
    """The content of ``base.json``, empty where there is none; the weights are checked against its hash.

    Raises:
        VoicecloneError: it is no JSON object, or the weights are others.
    """
    path = folder / "base.json"
    if not path.is_file():
        return {}
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise VoicecloneError(f"{path} is no JSON file: write it again or remove it") from error
    if not isinstance(info, dict):
        raise VoicecloneError(f"{path} must hold a JSON object")
    expected = info.get("sha256")
    if isinstance(expected, str):
        hub.check_hash(_weight_file(folder), expected)
    return info


def _encoder_config(folder: Path, info: Mapping[str, Any]) -> StyleEncoderConfig:
    widths = info.get("encoder", {})
    try:
        return StyleEncoderConfig(**widths)
    except (TypeError, ValueError) as error:
        raise VoicecloneError(f"{folder / 'base.json'}: bad widths of the style encoders: {error}") from error


def _all_rows(tensor: Tensor) -> Tensor:
    """A voice whose last rows are all alike is stored without them; ``VoicePack`` refuses other shapes."""
    if tensor.ndim == 3 and 0 < len(tensor) < ROWS:
        return torch.cat([tensor, tensor[-1:].expand(ROWS - len(tensor), -1, -1)])
    return tensor


def _read_voices(folder: Path) -> dict[str, VoicePack]:
    packed = folder / "voices.safetensors"
    if packed.is_file():
        return voices_of({name: _all_rows(tensor) for name, tensor in read_safetensors(packed).items()})
    return {path.stem: VoicePack.load(path) for path in sorted((folder / "voices").glob("*.pt"))}
