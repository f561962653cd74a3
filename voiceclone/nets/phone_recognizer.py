"""A phone recogniser: measures how many phones of a sentence are intelligible in its audio.

A convolutional net under CTC (Graves et al. 2006), greedily decoded. Its receptive field is 0.7 s to either side and it
has no language model, so that it cannot infer a phone from the rest of the sentence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import load_strictly, read_safetensors
from voiceclone.nets.front_end import ASSETS, N_MELS, log_mel
from voiceclone.text.alphabet import ALPHABET, to_alphabet

BLANK = 0


@dataclass(frozen=True, kw_only=True)
class RecognizerConfig:
    """Widths of the net."""

    width: int = 160
    """Channels."""
    kernel: int = 5
    """Kernel size of the convolutions, frames of 20 ms."""
    dilations: tuple[int, ...] = (1, 1, 2, 1, 4, 1, 4, 1)
    """One residual block each."""
    dropout: float = 0.1


class PhoneRecognizer(nn.Module):
    """Log-mel to phones; :func:`load_recognizer` gives the trained one."""

    def __init__(self, config: RecognizerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RecognizerConfig()
        self.stem = nn.Conv1d(N_MELS, config.width, 5, stride=2, padding=2)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in config.dilations)
        self.blocks = nn.ModuleList(
            nn.Conv1d(config.width, config.width, config.kernel, padding=d * (config.kernel // 2), dilation=d)
            for d in config.dilations
        )
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, 1 + len(ALPHABET))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-mels ``(B, 80, F)``, each valid for ``lengths`` ``(B,)`` frames, to log probabilities.

        Returns:
            ``(B, 1 + (F - 1) // 2, 1 + phones)`` (blank first), 50 per second, and their valid lengths ``(B,)``.
        """
        if lengths is None:
            lengths = torch.full((len(features),), features.shape[2])
        mask = (torch.arange(features.shape[2])[None] < lengths[:, None]).unsqueeze(1)
        # The mean over the utterance is subtracted: it contains channel and voice, but no phone information.
        mean = (features * mask).sum(2, keepdim=True) / lengths[:, None, None]
        hidden = self.stem((features - mean) * mask / 3.0)
        lengths = 1 + (lengths - 1) // 2
        mask = (torch.arange(hidden.shape[2])[None] < lengths[:, None]).unsqueeze(1)
        hidden = hidden * mask
        for norm, block in zip(self.norms, self.blocks, strict=True):
            inner = nn.functional.gelu(norm(hidden.transpose(1, 2)).transpose(1, 2)) * mask
            hidden = hidden + self.dropout(block(inner)) * mask
        scores = self.head(nn.functional.gelu(self.norm(hidden.transpose(1, 2))))
        return scores.float().log_softmax(-1), lengths

    @torch.no_grad()
    def transcribe(self, audio: np.ndarray) -> list[str]:
        """The phones recognised in ``audio`` ``(T,)``, 24 kHz.

        Raises:
            ValueError: the audio is empty, not one-dimensional or not finite.
        """
        scores, _ = self(log_mel(audio)[None])
        return collapse(scores[0].argmax(-1))

    def reference(self, phonemes: str) -> list[str]:
        """Misaki phonemes in the recogniser's alphabet, see :func:`~voiceclone.text.alphabet.to_alphabet`."""
        return to_alphabet(phonemes)

    def error_rate(self, audio: np.ndarray, phonemes: str) -> tuple[int, int]:
        """Errors (substitutions, deletions, insertions) in ``audio`` ``(T,)``, 24 kHz, and phones of the reference."""
        reference = self.reference(phonemes)
        return phone_errors(self.transcribe(audio), reference), len(reference)


def collapse(best: Tensor) -> list[str]:
    """The most probable symbol of every frame ``(F,)`` to phones: repeats joined, blanks dropped."""
    kept = torch.unique_consecutive(best)
    return [ALPHABET[index - 1] for index in kept.tolist() if index != BLANK]


def phone_errors(hypothesis: list[str], reference: list[str]) -> int:
    """The edit distance: fewest substitutions, deletions and insertions that turn one into the other."""
    return torchaudio.functional.edit_distance(hypothesis, reference)


def load_recognizer(folder: Path = ASSETS) -> PhoneRecognizer:
    """The packaged recogniser, frozen, on the CPU.

    Raises:
        VoicecloneError: a file is missing, damaged, or the weights do not belong to the config.
    """
    info = read_net_info(folder / "recognizer.json")
    if info.get("alphabet") != list(ALPHABET):
        raise VoicecloneError(
            f"{folder / 'recognizer.json'}: another alphabet than this version's: reinstall voiceclone"
        )
    return restore(PhoneRecognizer(config_of(RecognizerConfig, info, folder)), folder / "recognizer.safetensors")


def read_net_info(path: Path) -> dict[str, Any]:
    """The JSON file beside a net's weights."""
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}: reinstall voiceclone") from error
    except ValueError as error:
        raise VoicecloneError(f"{path} is damaged ({error}): reinstall voiceclone") from error
    return info


def config_of(kind: type, info: dict[str, Any], folder: Path) -> Any:
    """The net's config from the JSON."""
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in info["config"].items()})
    except (KeyError, TypeError, AttributeError) as error:
        raise VoicecloneError(f"{folder}: no config for {kind.__name__} ({error}): reinstall voiceclone") from error


def restore(net: nn.Module, path: Path) -> nn.Module:
    """Load ``net`` from its float16 file, strictly; frozen, in eval mode."""
    state = {key: value.float() for key, value in read_safetensors(path).items()}
    load_strictly(net, state, path)
    return net.eval().requires_grad_(False)
