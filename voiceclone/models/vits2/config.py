"""Config of a VITS2: three presets, and settings read from config files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.presets import PRESETS

PLAIN = "none"  # flows without a transformer, as in VITS
FLOWS = ("pre_conv", "pre_conv2", "fft", "mono_layer_inter_residual", "mono_layer_post_residual", PLAIN)
DECODERS = ("hifigan", "istft", "vocos")
POSTERIORS = ("mel", "linear")
LARGEST_VOICE = 256  # maximum size of a speaker vector: it must fit in a row of a voice file
NOISE_SCALE, NOISE_SCALE_W, LENGTH_SCALE = 0.667, 0.8, 1.0
"""VITS' defaults in inference: noise of the latent frames, noise of the durations, factor on the durations."""
MOST_NOISE = 2.0  # maximum of the two noise scales


_LEAST = {
    "symbols": 1, "speakers": 0, "channels": 1, "hidden": 1, "filter": 1, "heads": 1, "layers": 1, "kernel": 1,
    "window": 0, "posterior_layers": 1, "flows": 1, "flow_layers": 1, "duration_filter": 1, "upsample_rates": 1,
    "upsample_kernels": 1, "upsample_channels": 1, "resblock_kernels": 1, "resblock_dilations": 1, "istft_size": 2,
    "istft_hop": 1, "decoder_layers": 1, "crop_frames": 1,
}  # fmt: skip
"""Minimum of each size, and of each entry of a list of sizes."""


def _check_whole(config: FrontEnd | Vits2Config, least: Mapping[str, int]) -> None:
    for name, lowest in least.items():
        value = getattr(config, name)
        sizes = list(_flat(value))
        message = f"{name} is {value!r}: use whole numbers from {lowest} on"
        if not all(type(size) is int for size in sizes):
            raise TypeError(message)
        if any(size < lowest for size in sizes):
            raise ValueError(message)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for one in value:
            yield from _flat(one)
    else:
        yield value


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """Settings of the spectrogram that the posterior encoder reads."""

    sample_rate: int = 24_000
    """Hz."""
    hop: int = 300
    """Samples per frame."""
    n_fft: int = 2048
    win: int = 1200
    """Window length in samples."""
    n_mels: int = 80
    """Mel bands; a linear spectrogram has ``n_fft // 2 + 1`` bands instead."""
    f_min: float = 0.0
    """Hz."""
    f_max: float | None = None
    """Hz; half the sample rate where it is None."""
    posterior: str = "mel"
    """``mel`` (VITS2) or ``linear`` (VITS)."""

    def __post_init__(self) -> None:
        _check_whole(self, dict.fromkeys(("sample_rate", "hop", "n_fft", "win", "n_mels"), 1))
        if max(self.win, self.hop) > self.n_fft:
            raise ValueError(f"n_fft is {self.n_fft}: win ({self.win}) and hop ({self.hop}) must not exceed it")
        if not 0 <= self.f_min < (self.sample_rate / 2 if self.f_max is None else self.f_max):
            raise ValueError(f"f_min is {self.f_min}: it must lie between 0 and f_max")

    @property
    def channels(self) -> int:
        """Bands of a frame."""
        return self.n_mels if self.posterior == "mel" else self.n_fft // 2 + 1

    @property
    def is_cached(self) -> bool:
        """True where these are the frames stored in every corpus: StyleTTS2's log-mel at 24 kHz."""
        return self == FrontEnd()


@dataclass(frozen=True, kw_only=True)
class Vits2Config:
    """Sizes and parts of a model; stored as ``config.json`` beside its weights."""

    symbols: int = 178
    """Number of token ids."""
    speakers: int = 0
    """Rows of the speaker table; 0 for a single-speaker model without one."""
    speaker_channels: int = 64
    """Size of a speaker vector; ignored where ``speakers`` is 0."""
    front_end: FrontEnd = FrontEnd()
    channels: int = 96
    """Channels of the latent frames."""
    hidden: int = 96
    filter: int = 256
    """Inner channels of the text encoder's feed-forward layers."""
    heads: int = 2
    layers: int = 4
    kernel: int = 3
    window: int = 4
    """Distance in tokens up to which relative positions have their own embedding."""
    dropout: float = 0.1
    speaker_in_text: bool = True
    """Condition the text encoder on the speaker, before its third layer."""
    posterior_layers: int = 8
    flow: str = "pre_conv2"
    """One of :data:`FLOWS`."""
    flows: int = 4
    flow_layers: int = 3
    """WaveNet layers of a coupling."""
    flow_causal: bool = False
    """Use a causal transformer in an ``fft`` flow."""
    stochastic_durations: bool = False
    duration_filter: int = 128
    duration_dropout: float = 0.5
    duration_noise: bool = True
    """Add a noise channel to the deterministic predictor, for training with a discriminator."""
    decoder: str = "hifigan"
    """``hifigan``, ``istft`` or ``vocos``."""
    upsample_rates: tuple[int, ...] = (10, 6, 5)
    """Their product, times ``istft_hop`` for the other decoders, is the front end's hop. ``vocos`` needs none."""
    upsample_kernels: tuple[int, ...] = (20, 12, 10)
    upsample_channels: int = 128
    resblock: str = "2"
    resblock_kernels: tuple[int, ...] = (3, 5, 7)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3), (1, 3), (1, 3))
    istft_size: int = 20
    istft_hop: int = 5
    decoder_layers: int = 6
    """ConvNeXt blocks of ``vocos``."""
    crop_frames: int = 32
    """Frames of the decoder's crop in training."""
    add_blank: bool = False
    """Insert a pad token between all tokens, as in VITS and piper."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("flow", self.flow, FLOWS),
            ("decoder", self.decoder, DECODERS),
            ("posterior", self.front_end.posterior, POSTERIORS),
            ("resblock", self.resblock, ("1", "2")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}: use one of {', '.join(allowed)}")
        _check_whole(self, _LEAST)
        for name in ("dropout", "duration_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 0 and below 1")
        if self.channels % (2 * self.heads) or self.hidden % self.heads:
            raise ValueError(f"channels ({self.channels}) and hidden ({self.hidden}) must be multiples of 2 x heads")
        if self.speakers and not 0 < self.speaker_channels <= LARGEST_VOICE:
            raise ValueError(f"speaker_channels is {self.speaker_channels}: it must lie in 1-{LARGEST_VOICE}")
        if self.speaker_in_text and self.speakers and self.layers < 3:
            raise ValueError(f"layers is {self.layers}: a speaker enters before the third layer, use 3 or more")
        if self.upsampling != self.front_end.hop:
            raise ValueError(f"the decoder makes {self.upsampling} samples of a frame of {self.front_end.hop}")
        if len(self.upsample_rates) != len(self.upsample_kernels):
            raise ValueError("upsample_rates and upsample_kernels must have one entry a layer each")
        self._check_decoder()

    def _check_decoder(self) -> None:
        """Refuse layers of the decoder that cannot be built, or that change the length of their input."""
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            if kernel < rate or (rate == 1 and kernel % 2 == 0):
                raise ValueError(
                    f"upsample_kernels: {kernel} is too short for the rate {rate}, or even for a rate of 1"
                )
        if self.upsample_channels >> len(self.upsample_rates) < 1:
            raise ValueError(
                f"upsample_channels is {self.upsample_channels}: every layer of upsample_rates halves them"
            )
        kernels, dilations = self.resblock_kernels, self.resblock_dilations
        if not kernels or len(kernels) != len(dilations) or not all(size % 2 for size in kernels):
            raise ValueError("resblock_kernels must be odd, with as many lists in resblock_dilations")
        if self.istft_size % 2 or self.istft_size < self.istft_hop:
            raise ValueError(f"istft_size is {self.istft_size}: it must be even and not below istft_hop")

    @property
    def upsampling(self) -> int:
        """Samples that the decoder produces per frame."""
        product = 1 if self.decoder == "hifigan" else self.istft_hop
        for rate in self.upsample_rates:
            product *= rate
        return product

    @property
    def voice_size(self) -> int:
        """Size of a speaker vector; 0 without speakers."""
        return self.speaker_channels if self.speakers else 0

    def to_json(self) -> dict[str, Any]:
        """The config as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Vits2Config:
        """The inverse of ``to_json``.

        Raises:
            ValueError: a name is unknown, or values are not consistent.
        """
        return changed(cls(), values)


def changed(config: Vits2Config, values: Mapping[str, Any]) -> Vits2Config:
    """``config`` with changed values; those of the front end are given under ``front_end``.

    Raises:
        ValueError: a name is unknown, or values are not consistent.
    """
    values = dict(values)
    front = values.pop("front_end", {})
    if not isinstance(front, Mapping):
        raise ValueError(f"front_end is {front!r}: give settings by name")
    for known, given in ((Vits2Config, values), (FrontEnd, front)):
        unknown = set(given) - {field.name for field in fields(known)}
        if unknown:
            raise ValueError(f"unknown settings of the model: {', '.join(sorted(unknown))}")
    lists = {name: _tuple(value) for name, value in values.items()}
    try:
        return replace(config, front_end=replace(config.front_end, **front), **lists)
    except TypeError as error:  # for example a string instead of a number
        raise ValueError(f"a setting of the model is of a wrong kind ({error})") from error


def _tuple(value: Any) -> Any:
    return tuple(_tuple(one) for one in value) if isinstance(value, list | tuple) else value


def vits2_preset(name: str) -> Vits2Config:
    """The config called ``name``: ``nano`` (about 5M parameters), ``full`` (the paper's size) or ``tiny`` (for tests).

    Raises:
        UsageError: no preset of that name.
    """
    if name == "nano":
        return Vits2Config(crop_frames=64)
    if name == "full":
        return Vits2Config(
            channels=192, hidden=192, filter=768, layers=6, posterior_layers=16, flow_layers=4, duration_filter=256,
            speaker_channels=256, upsample_channels=512, resblock="1", resblock_kernels=(3, 7, 11),
            resblock_dilations=((1, 3, 5),) * 3,
        )  # fmt: skip
    if name == "tiny":
        return Vits2Config(
            channels=16, hidden=16, filter=32, layers=3, posterior_layers=2, flows=2, flow_layers=1,
            duration_filter=16, speaker_channels=8, upsample_channels=32, resblock_kernels=(3,),
            resblock_dilations=((1,),), crop_frames=16,
        )  # fmt: skip
    raise UsageError(f"no preset {name!r}: choose one of {', '.join(PRESETS)}")


def with_istft(config: Vits2Config) -> Vits2Config:
    """``config`` with an iSTFT instead of the decoder's last upsampling layer."""
    rates, kernels = config.upsample_rates[:-1], config.upsample_kernels[:-1]
    return replace(config, decoder="istft", upsample_rates=rates, upsample_kernels=kernels)


def with_vocos(config: Vits2Config, front_end: FrontEnd | None = None) -> Vits2Config:
    """``config`` with a decoder that predicts a spectrum for every latent frame, with twice the channels.

    Args:
        config: the sizes.
        front_end: replaces that of ``config``; its hop determines the decoder's.
    """
    front_end = front_end or config.front_end
    hop = front_end.hop
    return replace(
        config, decoder="vocos", front_end=front_end, upsample_rates=(), upsample_kernels=(),
        upsample_channels=2 * config.upsample_channels, istft_size=4 * hop, istft_hop=hop,
    )  # fmt: skip


def read_vits2_config(path: Path) -> tuple[Vits2Config, dict[str, int]]:
    """The model config and the vocabulary of a base's ``config.json``.

    Raises:
        VoicecloneError: it is missing, or is not that of a VITS2.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        config, vocab = Vits2Config.from_json(values["model"]), values["vocab"]
        if not all(type(number) is int and 0 <= number < config.symbols for number in vocab.values()):
            raise ValueError("its vocab must give each symbol a number below symbols")
        return config, vocab
    except OSError as error:
        raise VoicecloneError(
            f"cannot read {path}: {error.strerror or error}: is this the folder of a base?"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise VoicecloneError(f"{path} is not a config of a VITS2 ({error}): write it again") from error
