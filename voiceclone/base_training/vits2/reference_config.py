"""Read config files of the public implementation (github.com/p0p4k/vits2_pytorch).

Keys that neither the public implementation nor this one knows are rejected.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.errors import UsageError

logger = logging.getLogger(__name__)

_USED: Mapping[str, frozenset[str]] = {
    "train": frozenset(
        ["seed", "epochs", "learning_rate", "betas", "batch_size", "segment_size", "c_mel", "c_kl", "log_interval"]
    ),
    "data": frozenset([
        "training_files", "text_cleaners", "sampling_rate", "filter_length", "hop_length", "win_length",
        "n_mel_channels", "mel_fmin", "mel_fmax", "add_blank", "n_speakers", "cleaned_text",
        "use_mel_posterior_encoder",
    ]),
    "model": frozenset([
        "use_mel_posterior_encoder", "use_transformer_flows", "transformer_flow_type", "use_spk_conditioned_encoder",
        "use_noise_scaled_mas", "use_duration_discriminator", "duration_discriminator_type", "inter_channels",
        "hidden_channels", "filter_channels", "n_heads", "n_layers", "kernel_size", "p_dropout", "resblock",
        "resblock_kernel_sizes", "resblock_dilation_sizes", "upsample_rates", "upsample_initial_channel",
        "upsample_kernel_sizes", "use_sdp", "gin_channels",
    ]),
}  # fmt: skip
_WITHOUT_EFFECT: Mapping[str, frozenset[str]] = {
    "train": frozenset(["eval_interval", "eps", "fp16_run", "lr_decay", "init_lr_ratio", "warmup_epochs"]),
    "data": frozenset(["max_wav_value", "validation_files", "min_text_len", "max_text_len"]),
    "model": frozenset(["n_layers_q", "use_spectral_norm"]),
}
_REQUIRED = {
    "train": ("batch_size", "segment_size", "epochs"),
    "data": ("training_files", "sampling_rate", "hop_length", "filter_length", "win_length"),
    "model": ("inter_channels", "hidden_channels", "upsample_rates", "upsample_kernel_sizes"),
}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


_KINDS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("a whole number from 1 on", _is_count, "train.epochs train.batch_size train.segment_size train.log_interval "
     "data.sampling_rate data.filter_length data.hop_length data.win_length data.n_mel_channels"),
    ("a whole number from 0 on", lambda value: type(value) is int and value >= 0, "train.seed data.n_speakers "
     "model.gin_channels"),
    ("a positive number", lambda value: _is_number(value) and value > 0, "train.learning_rate train.c_mel train.c_kl"),
    ("a number", _is_number, "data.mel_fmin"),
    ("a number or null", lambda value: value is None or _is_number(value), "data.mel_fmax"),
    ("true or false", lambda value: isinstance(value, bool), "data.add_blank data.cleaned_text "
     "data.use_mel_posterior_encoder model.use_mel_posterior_encoder model.use_transformer_flows model.use_sdp "
     "model.use_spk_conditioned_encoder model.use_noise_scaled_mas model.use_duration_discriminator"),
    ("a text", lambda value: isinstance(value, str), "data.training_files model.transformer_flow_type "
     "model.duration_discriminator_type"),
    ("a list of texts", lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
     "data.text_cleaners"),
    ("two numbers from 0 to below 1", lambda value: isinstance(value, list) and len(value) == 2
     and all(_is_number(one) and 0 <= one < 1 for one in value), "train.betas"),
)  # fmt: skip
"""What the values of some keys must be. Those of the model's sizes are checked by the model's own config."""


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """A config file of the public implementation."""

    path: Path
    train: Mapping[str, Any]
    data: Mapping[str, Any]
    model: Mapping[str, Any]


def read_reference_config(path: Path) -> ReferenceConfig:
    """Read a config file.

    Raises:
        UsageError: it cannot be read, lacks a section, has keys of another implementation or version, or a value is
            of a wrong kind.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        parts = {name: dict(values[name]) for name in _USED}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}: check the path") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"{path}: is not a config of a VITS2 with train, data and model ({error}): correct it"
        ) from error
    unknown = [f"{name}.{key}" for name, part in parts.items() for key in sorted(part)
               if key not in _USED[name] | _WITHOUT_EFFECT[name]]  # fmt: skip
    unknown += sorted(set(values) - set(parts))
    if unknown:
        raise UsageError(f"{path}: unknown keys {', '.join(unknown)}: is this the config of another version?")
    lacking = [f"{name}.{key}" for name, keys in _REQUIRED.items() for key in keys if key not in parts[name]]
    if lacking:
        raise UsageError(f"{path}: lacks {', '.join(lacking)}: add them")
    for kind, fits, keys in _KINDS:
        for name, key in (place.split(".") for place in keys.split()):
            if key in parts[name] and not fits(parts[name][key]):
                raise UsageError(f"{path}: {name}.{key} is {parts[name][key]!r}: use {kind}")
    idle = [f"{name}.{key}" for name, part in parts.items() for key in part if key in _WITHOUT_EFFECT[name]]
    if idle:
        logger.info("%s: keys without effect here: %s", path, ", ".join(idle))
    return ReferenceConfig(path=Path(path), **parts)
