"""Kokoro's architecture with widths from a config: the same five sub-modules, optionally with a narrow decoder.

``kokoro.istftnet.Decoder`` hard-codes widths 512 and 1024, so that no config gives a small ``KModel``. Here a config
with a ``"nano"`` key gets a decoder of the same data flow at the widths that key names; a config without it gets
exactly Kokoro's own modules. A ``"hifigan"`` key replaces iSTFTNet's generator by HiFi-GAN's.
``KPipeline(model=...)`` accepts an instance like any ``KModel``.
"""

from __future__ import annotations

from typing import Any

import torch
from kokoro.istftnet import AdainResBlk1d, Decoder, Generator
from kokoro.model import KModel
from kokoro.modules import CustomAlbert, ProsodyPredictor, TextEncoder
from torch import nn
from torch.nn.utils import weight_norm
from transformers import AlbertConfig

from voiceclone.models.checkpoint import PARTS
from voiceclone.models.narrow_generator import NarrowGenerator
from voiceclone.models.styletts2.hifigan import HifiGenerator

NANO_KEYS = frozenset({"encode_dim", "decode_dims", "asr_res_dim"})
OPTIONAL_KEY = "generator_dims"
KOKORO_WIDTHS: dict[str, Any] = {"encode_dim": 1024, "decode_dims": [1024, 1024, 1024, 512], "asr_res_dim": 64}
"""What Kokoro's own decoder hard-codes."""


class NarrowDecoder(Decoder):
    """Kokoro's decoder with configurable widths; ``forward`` is Kokoro's own.

    Args:
        dim_in: channels of the text features.
        style_dim: length of the acoustic style.
        encode_dim: channels after the first block (Kokoro: 1024).
        decode_dims: channels after each further block; the last one doubles the frame rate and must equal the
            generator's ``upsample_initial_channel`` (Kokoro: 1024, 1024, 1024, 512).
        asr_res_dim: channels of the text shortcut fed to every block (Kokoro: 64).
        generator_dims: channels of each of iSTFTNet's stages; None halves them from stage to stage, as Kokoro does.
        istftnet: the ``"istftnet"`` part of a Kokoro config.
        hifigan: the ``"hifigan"`` part of one, for that generator instead.
    """

    def __init__(
        self,
        *,
        dim_in: int,
        style_dim: int,
        encode_dim: int,
        decode_dims: list[int],
        asr_res_dim: int,
        istftnet: dict[str, Any],
        generator_dims: list[int] | None = None,
        hifigan: dict[str, Any] | None = None,
        disable_complex: bool = False,
    ) -> None:
        nn.Module.__init__(self)  # Kokoro's own initialiser builds the wide blocks
        initial = (istftnet if hifigan is None else hifigan)["upsample_initial_channel"]
        if decode_dims[-1] != initial:
            raise ValueError(
                f"decode_dims ends in {decode_dims[-1]}, upsample_initial_channel is {initial}: they must be equal"
            )
        self.encode = AdainResBlk1d(dim_in + 2, encode_dim, style_dim)
        self.decode = nn.ModuleList()
        before = encode_dim
        for position, after in enumerate(decode_dims):
            last = position == len(decode_dims) - 1
            self.decode.append(
                AdainResBlk1d(before + 2 + asr_res_dim, after, style_dim, upsample=True if last else "none")
            )
            before = after
        self.F0_conv = weight_norm(nn.Conv1d(1, 1, kernel_size=3, stride=2, padding=1))
        self.N_conv = weight_norm(nn.Conv1d(1, 1, kernel_size=3, stride=2, padding=1))
        self.asr_res = nn.Sequential(weight_norm(nn.Conv1d(dim_in, asr_res_dim, kernel_size=1)))
        if hifigan is not None:
            self.generator = HifiGenerator(style_dim, **hifigan)
        elif generator_dims is not None:
            self.generator = NarrowGenerator(style_dim, generator_dims, istftnet, disable_complex=disable_complex)
        else:
            self.generator = Generator(style_dim, disable_complex=disable_complex, **istftnet)


class NanoKModel(KModel):
    """A ``kokoro.KModel`` built from a config alone: random weights, no file read, nothing fetched.

    Args:
        config: Kokoro's config keys; with ``"nano": {"encode_dim", "decode_dims", "asr_res_dim"}``, optionally
            ``"generator_dims"`` too, the decoder is a ``NarrowDecoder``, without it Kokoro's own.
        repo_id: only a label, read by nothing but Kokoro's messages.
        disable_complex: Kokoro's STFT without complex numbers (for export; not equivalent in training).

    Raises:
        ValueError: unknown or missing keys in ``config["nano"]``, or widths that do not fit.
    """

    def __init__(self, config: dict[str, Any], *, repo_id: str = "voiceclone/nano", disable_complex: bool = False):
        nn.Module.__init__(self)  # KModel's own initialiser reads or downloads a weight file
        self.repo_id = repo_id
        self.config = config
        self.vocab = config["vocab"]
        hidden, style = config["hidden_dim"], config["style_dim"]
        self.bert = CustomAlbert(AlbertConfig(vocab_size=config["n_token"], **config["plbert"]))
        self.bert_encoder = nn.Linear(self.bert.config.hidden_size, hidden)
        self.context_length = self.bert.config.max_position_embeddings
        self.predictor = ProsodyPredictor(
            style_dim=style,
            d_hid=hidden,
            nlayers=config["n_layer"],
            max_dur=config["max_dur"],
            dropout=config["dropout"],
        )
        self.text_encoder = TextEncoder(
            channels=hidden,
            kernel_size=config["text_encoder_kernel_size"],
            depth=config["n_layer"],
            n_symbols=config["n_token"],
        )
        self.decoder = _build_decoder(config, disable_complex)


def _build_decoder(config: dict[str, Any], disable_complex: bool) -> Decoder:
    if "nano" not in config and "hifigan" not in config:
        return Decoder(
            dim_in=config["hidden_dim"],
            style_dim=config["style_dim"],
            dim_out=config["n_mels"],
            disable_complex=disable_complex,
            **config["istftnet"],
        )
    widths = config.get("nano", KOKORO_WIDTHS)
    if set(widths) - {OPTIONAL_KEY} != NANO_KEYS:
        raise ValueError(
            f'config["nano"] has keys {sorted(widths)}: it needs {sorted(NANO_KEYS)}, and may have {OPTIONAL_KEY}'
        )
    return NarrowDecoder(
        dim_in=config["hidden_dim"],
        style_dim=config["style_dim"],
        istftnet=config["istftnet"],
        hifigan=config.get("hifigan"),
        disable_complex=disable_complex,
        **widths,
    )


def init_for_speech(model: KModel) -> None:
    """Initialize the output layers to typical durations and F0, so that training starts from plausible speech.

    The duration bias falls from -0.5 to -8.5 over the bins, about 3 frames of 25 ms per phoneme; the F0 projection is
    scaled to Hz around 100. From PyTorch's own initialisation a random model gives 25 frames per phoneme and F0 near 0.
    """
    predictor = model.predictor
    with torch.no_grad():
        projection = predictor.duration_proj.linear_layer
        bins = projection.bias.numel()
        # linspace(-0.5, -8.5) over Kokoro's 50 bins, at the same slope for another number of bins.
        projection.bias.copy_(torch.linspace(-0.5, -0.5 - 8.0 * (bins - 1) / 49, bins))
        predictor.F0_proj.weight.mul_(30.0)
        predictor.F0_proj.bias.fill_(100.0)


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters of each of the five parts, and ``"total"``."""
    counts = {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in PARTS}
    return {**counts, "total": sum(counts.values())}
