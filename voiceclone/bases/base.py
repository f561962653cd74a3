"""A base: a Kokoro-format model, the style encoders the clone pipeline uses, and the base's stock voices.

Layout of a base folder::

    config.json                  Kokoro's config; a "nano" key holds the widths of a narrow decoder
    model.safetensors | *.pth    the five-part weights
    style_encoders.safetensors   keys acoustic.*, prosodic.*  (or StyleTTS2's own epochs_2nd_*.pth)
    own_encoders.safetensors     optional: the pair the base was trained with, for the oracle voice
    style_diffusion.safetensors  optional: a style sampler, trained with the base
    voices.safetensors | voices/NAME.pt   in safetensors, the last row is repeated for missing ones
    base.json                    optional: name, version, licence, widths of the encoders, voice space, system

Where ``base.json`` names the system ``vits2``, ``config.json`` and the weights are a VITS2's
(:mod:`voiceclone.models.vits2`), there are no style encoders, and the voices are its speakers' vectors.

A base whose ``voice_space`` is ``kokoro-82m`` uses Kokoro's own voice vectors: without voices or style encoders in the
folder, Kokoro's are used. The model is read at once; style encoders and stock voices are read on first use.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.bases.folder import (
    encoder_config,
    has_encoders,
    has_style_sampler,
    read_config,
    read_encoders,
    read_info,
    read_stock_voices,
    read_style_sampler,
    system_of,
    weight_file,
)
from voiceclone.bases.kokoro_weights import KokoroWeights, from_onnx, get_weights, weights_at_hand
from voiceclone.bases.loaded import CUSTOM, NANO, STOCK_KOKORO, Base
from voiceclone.bases.other_systems import VITS2, load_mamba_conv, load_vits2_base
from voiceclone.bases.stock_names import checked_base
from voiceclone.bases.stock_voices import StockVoices
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models import hub, presets
from voiceclone.models.build import load_kmodel
from voiceclone.models.mamba_conv.config import SYSTEM as MAMBA_CONV
from voiceclone.models.presets import KOKORO_CONFIG, KOKORO_ENCODERS
from voiceclone.models.store import stamped_sha256
from voiceclone.style.encoders import (
    StyleEncoderConfig,
    StyleEncoders,
    load_style_encoders,
    load_styletts2_checkpoint,
)
from voiceclone.style.voice_regression import load_voice_regression
from voiceclone.voice.official import OFFICIAL_NAMES, official_voice
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.space import KOKORO_SPACE, named_space, space_of

if TYPE_CHECKING:
    pass

__all__ = ["CUSTOM", "NANO", "STOCK_KOKORO", "VITS2", "Base", "kokoro_encoders", "load_base", "load_stock_voices"]
OWN_ENCODERS, STYLETTS2 = ENCODERS = ("own", "styletts2")
ONNX_VOICES = "voices-v1.0.bin"  # kokoro-onnx's voice file, expected beside its model


def load_base(
    which: str | os.PathLike[str] = "auto",
    *,
    offline: bool = False,
    style_encoders: str = OWN_ENCODERS,
    notice: Callable[[str], None] = lambda line: None,
) -> Base:
    """Load ``"nano"``, ``"kokoro"``, ``"auto"``, a base folder, or an ONNX file of Kokoro-82M.

    ``kokoro`` takes full precision from the Hub's cache, then a converted file, then whichever source answers first.
    ``auto`` is ``kokoro`` if its weights are available this way, otherwise ``nano``.

    Args:
        style_encoders: for the real Kokoro: ``"own"``, the pair in the package, trained on Kokoro's own speech, or
            ``"styletts2"``, StyleTTS2-LibriTTS's, from the Hub.
        notice: called with a line before a long operation.

    Raises:
        UsageError: no such base.
        VoicecloneError: its files are not available, damaged or do not belong together.
    """
    which = checked_base(which)
    if style_encoders not in ENCODERS:
        raise UsageError(f"--style-encoders {style_encoders}: use one of {', '.join(ENCODERS)}")
    real = partial(_load_real, offline=offline, style_encoders=style_encoders)
    if which == "auto":
        try:
            return real(get_weights(offline=offline, notice=notice))
        except VoicecloneError as error:
            if weights_at_hand() is not None:
                raise
            notice(f"{error}: nano is used instead")
            which = NANO
    if which == STOCK_KOKORO:
        return real(get_weights(offline=offline, notice=notice))
    if which == NANO:
        return _load_folder(presets.NANO_FOLDER, kind=NANO)
    if Path(which).is_file():
        path = Path(which)
        return real(from_onnx(path, notice=notice), voices=_voices_beside(path))
    return _load_folder(Path(which), kind=CUSTOM)


def load_stock_voices(which: str | os.PathLike[str] = "auto") -> Mapping[str, VoicePack]:
    """Only the stock voices of a base, by name: no model is loaded or fetched; see :func:`load_base`.

    ``auto`` is ``kokoro``, whose voices are part of the package.

    Raises:
        UsageError: no such base.
        VoicecloneError: a voice is damaged.
    """
    which = checked_base(which)
    if which in ("auto", STOCK_KOKORO):
        return _official_voices()
    if which != NANO and Path(which).is_file():
        return _voices_beside(Path(which))
    folder = presets.NANO_FOLDER if which == NANO else Path(which)
    shares = _holds_stock_kokoro(folder) or named_space(folder) == KOKORO_SPACE
    return read_stock_voices(folder) or (_official_voices() if shares else {})


def _holds_stock_kokoro(folder: Path) -> bool:
    try:
        return stamped_sha256(weight_file(folder)) == hub.KOKORO_WEIGHTS.sha256
    except (OSError, VoicecloneError):  # no base; loading it reports the reason
        return False


def _load_folder(folder: Path, *, kind: str) -> Base:
    if system_of(folder) == MAMBA_CONV:
        return load_mamba_conv(folder)
    config_path, weights = folder / "config.json", weight_file(folder)
    if (info := read_info(folder)).get("system") == VITS2:
        return load_vits2_base(folder, weights, info)
    config = read_config(config_path)
    widths = encoder_config(folder, info)
    own = folder / "own_encoders.safetensors"
    pair = has_encoders(folder)
    sha256 = stamped_sha256(weights)
    kind = STOCK_KOKORO if sha256 == hub.KOKORO_WEIGHTS.sha256 else kind
    shares = space_of(kind, sha256, info.get("voice_space")) == KOKORO_SPACE
    if shares and not pair:
        info = {**info, "styles_are_voices": True}
    return Base(
        name=str(info.get("name", folder.name)),
        kind=kind,
        kmodel=load_kmodel(config, config_path, weights),
        load_encoders=kokoro_encoders if shares and not pair else partial(read_encoders, folder, widths),
        load_regression=load_voice_regression if shares and not pair else None,
        load_own_encoders=partial(load_style_encoders, own, widths) if own.is_file() else None,
        load_style_sampler=partial(read_style_sampler, folder, config) if has_style_sampler(folder) else None,
        stock_voices=read_stock_voices(folder) or (_official_voices() if shares else {}),
        config=config,
        info=info,
        sha256=sha256,
        folder=folder,
    )


def _load_real(
    weights: KokoroWeights, *, offline: bool, style_encoders: str, voices: Mapping[str, VoicePack] | None = None
) -> Base:
    """The real Kokoro-82M; the config is the published one, which is part of the package."""
    config = read_config(KOKORO_CONFIG)
    own = style_encoders == OWN_ENCODERS
    return Base(
        name="Kokoro-82M",
        kind=STOCK_KOKORO,
        kmodel=load_kmodel(config, KOKORO_CONFIG, weights.path),
        load_encoders=kokoro_encoders if own else partial(_styletts2_encoders, offline=offline),
        load_regression=load_voice_regression if own else None,
        stock_voices=_official_voices() if voices is None else voices,
        config=config,
        info={"name": "Kokoro-82M", "licence": "Apache-2.0", "styles_are_voices": own},
        sha256=weights.sha256,
        weights=weights.label,
    )


def kokoro_encoders() -> StyleEncoders:
    """The pair in the package, trained on Kokoro's own speech; its space is Kokoro's."""
    widths = json.loads((KOKORO_ENCODERS / "encoders.json").read_text(encoding="utf-8"))["encoder"]
    return load_style_encoders(KOKORO_ENCODERS / "style_encoders.safetensors", StyleEncoderConfig(**widths))


def _styletts2_encoders(*, offline: bool) -> StyleEncoders:
    """StyleTTS2-LibriTTS's pair, from the Hub's cache or downloaded."""
    return load_styletts2_checkpoint(
        hub.fetch_hub_file(hub.STYLETTS2_CHECKPOINT, offline=offline), StyleEncoderConfig()
    )


def _official_voices() -> StockVoices:
    return StockVoices(OFFICIAL_NAMES, official_voice)


def _voices_beside(model: Path) -> Mapping[str, VoicePack]:
    """Voices for an ONNX file: kokoro-onnx's file or a folder of .pt files beside it, else the official ones."""
    from voiceclone.voice.formats import read_voices as read_file

    if (packed := model.with_name(ONNX_VOICES)).is_file():
        return read_file(packed)
    return read_stock_voices(model.parent) or _official_voices()
