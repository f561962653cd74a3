"""A trained synthesizer in one file (``best_model.pt``): tensors and plain values, loaded without executing code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_torch
from voiceclone.models.checkpoint import load_strictly
from voiceclone.models.mamba_conv.codec import Codec
from voiceclone.models.mamba_conv.config import SYSTEM, CodecConfig, MambaConvConfig, config_from, config_json
from voiceclone.models.mamba_conv.encodec import load_encodec
from voiceclone.models.mamba_conv.model import MambaConvTTS
from voiceclone.models.mamba_conv.speaking import MambaConvKModel

FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A synthesizer with its codec, vocabulary and voices, and facts about its training."""

    model: MambaConvTTS = field(repr=False)
    codec: nn.Module = field(repr=False)
    vocab: Mapping[str, int] = field(repr=False)
    voices: Mapping[str, Tensor] = field(repr=False)
    """Voice packs ``(510, 1, 256)`` by speaker."""
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """JSON-able: step, seconds, history, metrics."""

    def kmodel(self) -> MambaConvKModel:
        """The model with the interface of KModel, for KPipeline; frozen."""
        return MambaConvKModel(self.model, self.codec, dict(self.vocab)).eval().requires_grad_(False)

    def config_json(self) -> dict[str, Any]:
        """The sizes, JSON-able."""
        codec = config_json(self.codec.config) if isinstance(self.codec, Codec) else "encodec"
        return {
            "system": SYSTEM,
            "vocab": dict(self.vocab),
            "model": config_json(self.model.config),
            "codec": codec,
        }

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        own = isinstance(self.codec, Codec)
        write_torch(
            path,
            {
                "format": FORMAT,
                "config": self.config_json(),
                "model": _cpu(self.model.state_dict()),
                "codec": _cpu(self.codec.state_dict()) if own else {},
                "voices": _cpu(self.voices),
                "facts": dict(self.facts),
            },
        )


def load_bundle(path: Path) -> Bundle:
    """Read a file written by :meth:`Bundle.save`.

    Raises:
        UsageError: there is no such file, or it is something else.
        VoicecloneError: its tensors do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"--model {path}: no such file: train first")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many exception types for a damaged file
        raise UsageError(f"--model {path}: cannot be read ({type(error).__name__}): give a best_model.pt") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or "config" not in content:
        raise UsageError(f"--model {path}: is not a model of this program: give a best_model.pt")
    model, codec = build(content["config"], path)
    load_strictly(model, content["model"], path)
    if isinstance(codec, Codec):
        load_strictly(codec, content["codec"], path)
    return Bundle(
        model=model.eval(), codec=codec.eval(), vocab=content["config"]["vocab"], voices=content["voices"],
        facts=content["facts"],
    )  # fmt: skip


def build(config: Mapping[str, Any], source: Path) -> tuple[MambaConvTTS, nn.Module]:
    """Synthesizer and codec of a config. The own codec has random weights.

    Raises:
        VoicecloneError: the config is not valid.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            model = MambaConvTTS(config_from(MambaConvConfig, config["model"]))
            codec = load_encodec() if config["codec"] == "encodec" else Codec(config_from(CodecConfig, config["codec"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise VoicecloneError(f"{source}: no model can be built from this config: {error}") from error
    return model, codec


def _cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in state.items()}
