"""ONNX files of narrow Kokoro models with the names used in kokoro-onnx's files."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from types import MethodType

import torch
from torch import Tensor, nn

from voiceclone.bases import base as bases
from voiceclone.bases import conversion
from voiceclone.models.checkpoint import fold_weight_norm
from voiceclone.models.nano import NanoKModel
from voiceclone.models.presets import preset


class _Encoder(nn.Module):
    """Everything before the decoder, called as kokoro-onnx's exporter calls it."""

    def __init__(self, model: NanoKModel) -> None:
        super().__init__()
        self.bert, self.bert_encoder = model.bert, model.bert_encoder
        self.predictor, self.text_encoder = model.predictor, model.text_encoder

    def forward(self, tokens: Tensor, prosodic: Tensor) -> tuple[Tensor, ...]:
        lengths = torch.full((1,), tokens.shape[1], dtype=torch.long)
        mask = torch.zeros_like(tokens, dtype=torch.bool)
        text = self.bert_encoder(self.bert(tokens, attention_mask=(~mask).int())).transpose(-1, -2)
        duration, states = self.predictor(text, prosodic, lengths, mask)
        f0, energy = self.predictor.F0Ntrain(states, prosodic)
        return self.text_encoder(tokens, lengths, mask), f0, energy, torch.round(torch.sigmoid(duration).sum(-1))


class _Decoder(nn.Module):
    def __init__(self, model: NanoKModel) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, text: Tensor, f0: Tensor, energy: Tensor, acoustic: Tensor) -> Tensor:
        return self.decoder(text, f0, energy, acoustic)


class _Exported(nn.Module):
    def __init__(self, model: NanoKModel) -> None:
        super().__init__()
        self.encoder, self.decoder = _Encoder(model), _Decoder(model)

    def forward(self, tokens: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        text, f0, energy, durations = self.encoder(tokens, style[:, 128:])
        return self.decoder(text, f0, energy, style[:, :128]), durations


def _predict(predictor: nn.Module, text: Tensor, style: Tensor, lengths: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """``ProsodyPredictor.forward`` with one frame a token, without the squeeze that ONNX Runtime does not take."""
    states = predictor.text_encoder(text, style, lengths, mask)
    hidden, _ = predictor.lstm(states)
    return predictor.duration_proj(hidden), states.transpose(-1, -2)


def export(model: NanoKModel, path: Path, *, tokens: int = 8) -> Path:
    """Write ``model`` (built with ``disable_complex=True``) as ONNX, float32; its weight norm is folded."""
    fold_weight_norm(model.eval())
    model.predictor.forward = MethodType(_predict, model.predictor)
    example = (torch.arange(tokens)[None], torch.zeros(1, 256))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(_Exported(model).eval(), example, str(path), dynamo=False, opset_version=17,
                          input_names=["tokens", "style"], output_names=["audio", "durations"])  # fmt: skip
    return path


def take_narrow_models(folder: Path) -> None:
    """Replace the real model by a narrow one. It does not speak, so the limits of the self-test are wide."""
    config = folder / "config.json"
    config.write_text(json.dumps(preset("tiny")[0]))
    conversion.full_config = lambda: preset("tiny")[0]
    conversion.SELF_TEST_SECONDS, conversion.SELF_TEST_RMS = (0.1, 60.0), (1e-6, 10.0)
    bases.KOKORO_CONFIG = config


def convert_narrow(folder: Path, path: Path, queue) -> None:
    """In a process of its own: say when it is ready, and convert with narrow models.

    It gives the number of notices, and whether the result is whole.
    """
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    take_narrow_models(folder)
    lines: list[str] = []
    queue.put("ready")
    converted = conversion.convert_file(path, notice=lines.append)
    queue.put((len(lines), converted.is_whole()))
