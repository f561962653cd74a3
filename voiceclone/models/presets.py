"""Configs of bases: nano (packaged), full (Kokoro's own size) and tiny (for tests).

The vocabulary and the full config are Kokoro-82M's (Apache-2.0), kept as data in ``assets/kokoro_config.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voiceclone.errors import UsageError

KOKORO_CONFIG = Path(__file__).parent / "assets" / "kokoro_config.json"
KOKORO_ENCODERS = Path(__file__).parent / "assets" / "kokoro"
NANO_FOLDER = Path(__file__).parent / "assets" / "nano"
NANO_ENCODER = {"dim_in": 16, "style_dim": 128, "max_conv_dim": 64}
FULL_ENCODER = {"dim_in": 64, "style_dim": 128, "max_conv_dim": 512}
TINY_ENCODER = {"dim_in": 4, "style_dim": 128, "max_conv_dim": 8}
PRESETS = ("nano", "full", "tiny")


def full_config() -> dict[str, Any]:
    """Kokoro-82M's own config: ``NanoKModel`` built from it has exactly Kokoro's modules (81.8M parameters)."""
    return json.loads(KOKORO_CONFIG.read_text(encoding="utf-8"))


def nano_config() -> dict[str, Any]:
    """11.3M parameters (22.7 MB as float16).

    The decoder has as many blocks as Kokoro's, so that it can be initialized from them. Of the residual blocks it has
    those with kernels of 7 and 11, without which harmonics below 2 kHz are lost (docs/lab_notes/student.md).
    """
    return _narrow(
        hidden_dim=192,
        n_layer=2,
        plbert={"hidden_size": 128, "embedding_size": 96, "num_attention_heads": 4, "intermediate_size": 384,
                "max_position_embeddings": 512, "num_hidden_layers": 4},
        nano={"encode_dim": 256, "decode_dims": [256, 256, 256, 256], "asr_res_dim": 64, "generator_dims": [96, 96]},
        upsample_initial_channel=256,
        resblock_kernel_sizes=(7, 11),
    )  # fmt: skip


def tiny_config() -> dict[str, Any]:
    """About 0.3M parameters: for tests; it can be trained a little, but is not intelligible."""
    return _narrow(
        hidden_dim=32,
        n_layer=1,
        plbert={"hidden_size": 16, "embedding_size": 16, "num_attention_heads": 2, "intermediate_size": 32,
                "max_position_embeddings": 512, "num_hidden_layers": 1},
        nano={"encode_dim": 32, "decode_dims": [32, 32], "asr_res_dim": 8},
        upsample_initial_channel=32,
        resblock_kernel_sizes=(3,),
    )  # fmt: skip


def preset(name: str, *, decoder: str = "istftnet") -> tuple[dict[str, Any], dict[str, int]]:
    """The model config and the style encoders' widths of a preset.

    Args:
        decoder: ``istftnet``, or ``hifigan`` for that generator instead.

    Raises:
        UsageError: no preset of that name.
    """
    known = {
        "nano": (nano_config, NANO_ENCODER, 128),
        "full": (full_config, FULL_ENCODER, 512),
        "tiny": (tiny_config, TINY_ENCODER, 32),
    }
    if name not in known:
        raise UsageError(f"no preset {name!r}: choose one of {', '.join(PRESETS)}")
    make, encoder, channels = known[name]
    config = make()
    return _with_hifigan(config, channels) if decoder == "hifigan" else config, dict(encoder)


def _with_hifigan(config: dict[str, Any], channels: int) -> dict[str, Any]:
    """A config with HiFi-GAN's generator, its residual blocks those of the iSTFTNet it stands for."""
    if "nano" in config:
        dims = config["nano"]["decode_dims"]
        config["nano"] = {**config["nano"], "decode_dims": [*dims[:-1], channels]}
    config["hifigan"] = {
        "upsample_rates": [10, 5, 3, 2],
        "upsample_kernel_sizes": [20, 10, 6, 4],
        "upsample_initial_channel": channels,
        "resblock_kernel_sizes": config["istftnet"]["resblock_kernel_sizes"],
        "resblock_dilation_sizes": config["istftnet"]["resblock_dilation_sizes"],
    }
    return config


def _narrow(
    *,
    hidden_dim: int,
    n_layer: int,
    plbert: dict[str, int],
    nano: dict[str, Any],
    upsample_initial_channel: int,
    resblock_kernel_sizes: tuple[int, ...] = (3, 7),
) -> dict[str, Any]:
    """Kokoro's config with narrower widths; vocabulary, rates, iSTFT, style length and context are unchanged."""
    config = full_config()
    dropout = 0.1
    config.update(
        hidden_dim=hidden_dim,
        n_layer=n_layer,
        dropout=dropout,
        nano=nano,
        plbert={**plbert, "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0},
    )
    config["istftnet"].update(
        upsample_initial_channel=upsample_initial_channel,
        resblock_kernel_sizes=list(resblock_kernel_sizes),
        resblock_dilation_sizes=[[1, 3, 5] for _ in resblock_kernel_sizes],
    )
    return config
