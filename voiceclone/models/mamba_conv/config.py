"""Sizes of the codec and the synthesizer, and settings of the token generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE
from voiceclone.errors import UsageError

SYSTEM = "mamba-conv"
"""The ``system`` in a base's ``config.json``."""
MIXERS = ("mamba", "gru", "attention")
BRANCHES = ("right", "symmetric", "none")
MODES = ("masked", "refine")
PRESETS = ("tiny", "nano", "reference")
Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """The codec on short-time spectra with its residual vector quantizer."""

    channels: int = 192
    """Channels of all layers, which run at the frame rate."""
    encoder_layers: int = 2
    decoder_layers: int = 6
    hop: int = 300
    """Samples at 24 kHz of one codec frame."""
    window: int = 1200
    """Samples of a short-time spectrum, of the input and of the output."""
    bands: int = 100
    """Mel bands of the input."""
    latent: int = 64
    """Dimensions of a quantized vector."""
    levels: int = 4
    """Number of codebooks; each quantizes the residual of the previous ones."""
    codebook_size: int = 256

    def __post_init__(self) -> None:
        if any(value < 1 for value in asdict(self).values()):
            raise ValueError("codec: sizes must be positive")
        if (self.window - self.hop) % 2 or self.window < 2 * self.hop:
            raise ValueError(
                f"codec: a window of {self.window} samples must be at least two hops ({self.hop}) and differ from one "
                "by an even number"
            )


@dataclass(frozen=True, kw_only=True)
class MambaConvConfig:
    """The synthesizer."""

    tokens: int = 178
    """Number of text symbols."""
    text_dim: int = 96
    text_layers: int = 2
    text_dilations: tuple[int, ...] = (1, 2, 4, 8)
    style_dim: int = 128
    style_channels: int = 96
    style_norm: str = "batch"
    """``batch``, or ``group`` for batches of fewer than four rows."""
    hidden: int = 128
    layers: int = 3
    dilations: tuple[int, ...] = (1, 3, 9, 27)
    state: int = 8
    """State size per channel."""
    expand: int = 2
    conv: int = 4
    """Kernel size of the causal convolution in a Mamba block, in frames."""
    mixer: str = "mamba"
    """The causal sequence mixer: ``mamba``, ``gru`` or ``attention``."""
    branch: str = "right"
    """Receptive field of the parallel convolutions: ``right`` (this frame and later ones), ``symmetric``, or
    ``none``."""
    dropout: float = 0.1
    levels: int = 4
    codebook_size: int = 256
    hop: int = 300
    """Samples at 24 kHz of one codec frame."""
    mask_bins: int = 20
    """Number of steps to which the masked fraction, an input of the decoder, is quantized."""

    def __post_init__(self) -> None:
        if self.mixer not in MIXERS:
            raise UsageError(f"--mixer {self.mixer}: use one of {', '.join(MIXERS)}")
        if self.branch not in BRANCHES:
            raise ValueError(f"branch {self.branch!r} is none of {', '.join(BRANCHES)}")
        if self.style_norm not in ("batch", "group"):
            raise ValueError(f"style_norm {self.style_norm!r} is neither batch nor group")

    @property
    def frame_rate(self) -> float:
        """Codec frames in one duration frame of 25 ms."""
        return FRAME_SAMPLES / self.hop

    @property
    def hertz(self) -> float:
        """Codec frames a second."""
        return SAMPLE_RATE / self.hop


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """Settings of the token generation for an utterance."""

    mode: str = "masked"
    """``masked`` (coarse to fine, from fully masked tokens) or ``refine`` (all levels at once, from random tokens)."""
    rounds: int = 12
    """Maximum number of rounds of level 0, or of ``refine``."""
    finer_rounds: tuple[int, ...] = (4, 1, 1)
    """Rounds of the finer levels; the last value applies to all further levels."""
    min_rounds: int = 6
    """Minimum number of rounds before the controller may stop."""
    stop: bool = True
    """Whether the controller may stop early."""
    temperature: float = 1.0
    """Temperature of the first round; it decreases to 0."""
    guidance: float = 1.0
    """Scale of classifier-free guidance by the style; other values than 1 double the computation."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"--mode {self.mode}: use one of {', '.join(MODES)}")
        if self.rounds < 1 or self.min_rounds < 1 or not self.finer_rounds or min(self.finer_rounds) < 1:
            raise UsageError(f"--iterations {self.rounds}: give 1 or more")

    def rounds_of(self, level: int) -> int:
        """Maximum number of rounds of a level."""
        return self.rounds if level == 0 else self.finer_rounds[min(level, len(self.finer_rounds)) - 1]


def presets(name: str, *, codebook_size: int | None = None) -> tuple[CodecConfig, MambaConvConfig]:
    """Codec and synthesizer of a preset.

    Args:
        name: of the preset.
        codebook_size: replaces the preset's value; None keeps it.

    Raises:
        UsageError: there is no such preset or size.
    """
    if name == "nano":
        codec, model = CodecConfig(), MambaConvConfig()
    elif name == "tiny":
        codec = CodecConfig(channels=16, encoder_layers=1, decoder_layers=1, bands=40, latent=16, codebook_size=32)
        model = MambaConvConfig(text_dim=32, text_layers=1, style_channels=16, hidden=32, layers=1, state=4,
                                dropout=0.0, codebook_size=32)  # fmt: skip
    elif name == "reference":
        codec = CodecConfig(channels=512, decoder_layers=8, latent=128, codebook_size=1024)
        model = MambaConvConfig(text_dim=256, text_layers=3, hidden=512, state=16, codebook_size=1024)
    else:
        raise UsageError(f"no preset {name!r}: choose one of {', '.join(PRESETS)}")
    if codebook_size is None:
        return codec, model
    if not 2 <= codebook_size <= 32_768:
        raise UsageError(f"--vocab-size {codebook_size}: give a number from 2 to 32768")
    return replace(codec, codebook_size=codebook_size), replace(model, codebook_size=codebook_size)


def config_from(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A config from JSON-able values.

    Raises:
        ValueError: unknown keys, or values that do not fit.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(values) - known:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError as error:
        raise ValueError(str(error)) from error


def config_json(config: Any) -> dict[str, Any]:
    """The inverse of :func:`config_from`."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
