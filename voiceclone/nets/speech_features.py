"""Features of self-supervised or pretrained speech models, differentiable: Whisper's encoder, or WavLM.

Both take 24 kHz audio ``(B, T)`` and return hidden states ``(B, layers, width, frames)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TypeVar

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.errors import VoicecloneError
from voiceclone.nets.ctranslate2_file import read_ctranslate2

RATE = 16_000  # Hz; input rate of both networks
N_FFT, HOP, N_MELS = 400, 160, 80
Module = TypeVar("Module", bound=nn.Module)
WAVLM = "microsoft/wavlm-base-plus"


class SpeechFeatures(nn.Module, ABC):
    """Interface of a frozen speech model.

    Attributes:
        layers: number of hidden states.
        width: size of each.
    """

    layers: int
    width: int

    def forward(self, audio: Tensor) -> Tensor:
        """Audio ``(B, T)`` at 24 kHz to hidden states ``(B, layers, width, frames)``."""
        return self.hidden_states(torchaudio.functional.resample(audio, SAMPLE_RATE, RATE))

    @abstractmethod
    def hidden_states(self, audio: Tensor) -> Tensor:
        """As :meth:`forward`, for audio ``(B, T)`` at 16 kHz."""


class WhisperFeatures(SpeechFeatures):
    """Whisper's encoder from a CTranslate2 file; 50 frames per second, up to 30 s.

    Args:
        path: ``model.bin``.

    Raises:
        VoicecloneError: the file contains no Whisper encoder.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = read_ctranslate2(path, "encoder/")
        try:
            self.width = state["encoder/conv1/weight"].shape[0]
            heads = int(state["encoder/num_heads"])
            count = 1 + max(int(name.split("/")[1][6:]) for name in state if name.startswith("encoder/layer_")
                            and name[14].isdigit())  # fmt: skip
            self.conv1 = _convolution(state, "encoder/conv1", stride=1)
            self.conv2 = _convolution(state, "encoder/conv2", stride=2)
            self.register_buffer("positions", state["encoder/position_encodings/encodings"], persistent=False)
            self.blocks = nn.ModuleList(_EncoderBlock(state, f"encoder/layer_{n}", heads) for n in range(count))
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            raise VoicecloneError(f"{path} holds no encoder of Whisper's: install it again") from error
        self.layers = count + 1
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        filters = torchaudio.functional.melscale_fbanks(
            N_FFT // 2 + 1, 0.0, RATE / 2, N_MELS, RATE, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("filters", filters, persistent=False)
        self.eval().requires_grad_(False)

    def hidden_states(self, audio: Tensor) -> Tensor:
        """Hidden states of 16 kHz audio ``(B, T)``: after the convolutions, and after each block."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(self.log_mel(audio))))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        states = [x]
        for block in self.blocks:
            x = block(x)
            states.append(x)
        return torch.stack(states, dim=1).transpose(2, 3)

    def log_mel(self, audio: Tensor) -> Tensor:
        """Whisper's log-mel ``(B, 80, frames)`` of 16 kHz audio, without the last frame as in Whisper."""
        spectrum = torch.stft(audio, N_FFT, HOP, window=self.window, return_complex=True)[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        log = (power.transpose(1, 2) @ self.filters).transpose(1, 2).clamp(min=1e-10).log10()
        log = torch.maximum(log, log.amax(dim=(1, 2), keepdim=True).detach() - 8.0)
        return (log + 4.0) / 4.0


class _EncoderBlock(nn.Module):
    """Self-attention and a feed-forward layer, each with pre-normalisation."""

    def __init__(self, state: dict[str, Tensor], name: str, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = _norm(state, f"{name}/self_attention/layer_norm")
        self.split = _linear(state, f"{name}/self_attention/linear_0")
        self.join = _linear(state, f"{name}/self_attention/linear_1")
        self.norm2 = _norm(state, f"{name}/ffn/layer_norm")
        self.wide, self.narrow = _linear(state, f"{name}/ffn/linear_0"), _linear(state, f"{name}/ffn/linear_1")

    def forward(self, x: Tensor) -> Tensor:
        """``(B, frames, width)`` to the same."""
        parts = self.split(self.norm1(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        heard = F.scaled_dot_product_attention(query, key, value)
        x = x + self.join(heard.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class WavlmFeatures(SpeechFeatures):
    """WavLM base+ from the Hub's cache; 50 frames per second.

    Raises:
        VoicecloneError: it is not cached.
    """

    def __init__(self) -> None:
        super().__init__()
        from transformers import WavLMModel

        try:
            self.model = WavLMModel.from_pretrained(WAVLM, local_files_only=True)
        except (OSError, ValueError) as error:
            raise VoicecloneError(
                f"{WAVLM} is not in the Hub's cache: fetch it there, or choose another model"
            ) from error
        self.layers, self.width = self.model.config.num_hidden_layers + 1, self.model.config.hidden_size
        self.eval().requires_grad_(False)

    def hidden_states(self, audio: Tensor) -> Tensor:
        """Hidden states of 16 kHz audio ``(B, T)``: before the first block and after each."""
        states = self.model(audio, output_hidden_states=True).hidden_states
        return torch.stack(states, dim=1).transpose(2, 3)


def _convolution(state: dict[str, Tensor], name: str, *, stride: int) -> nn.Conv1d:
    weight = state[f"{name}/weight"]
    made = nn.Conv1d(weight.shape[1], weight.shape[0], weight.shape[2], stride, padding=1)
    return _filled(made, weight, state[f"{name}/bias"])


def _linear(state: dict[str, Tensor], name: str) -> nn.Linear:
    weight = state[f"{name}/weight"]
    return _filled(nn.Linear(weight.shape[1], weight.shape[0]), weight, state[f"{name}/bias"])


def _norm(state: dict[str, Tensor], name: str) -> nn.LayerNorm:
    gamma = state[f"{name}/gamma"]
    return _filled(nn.LayerNorm(len(gamma)), gamma, state[f"{name}/beta"])


def _filled(module: Module, weight: Tensor, bias: Tensor) -> Module:
    module.load_state_dict({"weight": weight, "bias": bias})
    return module
