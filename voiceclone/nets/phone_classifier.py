"""A phone classifier: the phone of each frame of 25 ms, differentiable with respect to the audio.

Cloning uses it in training (the term ``phones``). It is not the recogniser that evaluates clones: that one
has another front end, CTC instead of one label per frame, and was trained separately.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from voiceclone.audio.features import LOG_MEAN, LOG_STD, N_MELS
from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import load_strictly, read_safetensors
from voiceclone.text.alphabet import ALPHABET, to_alphabet

ASSETS = Path(__file__).resolve().parent / "assets" / "phone_classifier"
UNLABELLED = -100
"""Label of frames that belong to no phone: pauses, stress marks, letters that are no English phoneme."""
LEAST_POSTERIOR = 1e-4
"""Lower probabilities count as this one, so that a few frames do not decide."""
_CODES = {phone: index for index, phone in enumerate(ALPHABET)}


@dataclass(frozen=True, kw_only=True)
class PhoneClassifierConfig:
    """Widths of the net."""

    width: int = 192  # channels
    dilations: tuple[int, ...] = (
        1,
        2,
        4,
        8,
        1,
        2,
        4,
        8,
    )  # one residual block each; receptive field 0.8 s to either side
    dropout: float = 0.1


class PhoneClassifier(nn.Module):
    """Residual convolutions over StyleTTS2's log-mel; :func:`load_phone_classifier` gives the trained one."""

    def __init__(self, config: PhoneClassifierConfig = PhoneClassifierConfig()) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.stem = nn.Conv1d(N_MELS, width, 5, stride=2, padding=2)
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in config.dilations)
        self.blocks = nn.ModuleList(nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in config.dilations)
        self.norm = nn.GroupNorm(1, width)
        self.head = nn.Conv1d(width, len(ALPHABET), 1)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Normalised log-mels ``(B, 80, 2F)`` of one length to scores ``(B, phones, F)``."""
        features = log_mel * LOG_STD + LOG_MEAN
        # The mean over the crop is subtracted: it contains channel, level and voice, but no phone information.
        hidden = self.stem(features - features.mean(dim=2, keepdim=True))
        for norm, block in zip(self.norms, self.blocks, strict=True):
            hidden = hidden + self.dropout(block(functional.gelu(norm(hidden))))
        return self.head(functional.gelu(self.norm(hidden)))


def frame_labels(phonemes: Sequence[str], durations: Tensor) -> Tensor:
    """The phone of every frame ``(F,)`` int64, :data:`UNLABELLED` for frames without one.

    Args:
        phonemes: the symbols between BOS and EOS, as the model reads them.
        durations: frames of 25 ms of BOS, each symbol, EOS: ``(T,)`` int64.

    Raises:
        ValueError: the numbers of phonemes and durations differ.
    """
    codes = [UNLABELLED, *(_code(symbol) for symbol in phonemes), UNLABELLED]
    if len(codes) != len(durations):
        raise ValueError(f"{len(durations)} durations for {len(codes)} tokens")
    return torch.repeat_interleave(torch.tensor(codes, device=durations.device), durations)


@torch.no_grad()
def phone_posteriors(phone_classifier: PhoneClassifier, log_mel: Tensor) -> Tensor:
    """Probabilities ``(phones, F)`` of the phones in a normalised log-mel ``(80, 2F)``."""
    return torch.softmax(phone_classifier(log_mel[None])[0], dim=0)


def phone_gap(posteriors: Tensor, labels: Tensor) -> float:
    """How much likelier the likeliest phone of a frame is than its label, in nats: mean over the labelled frames.

    Where the labels are what is said, it is near 1 for recordings, and about 4 where they are another text
    (docs/lab_notes/wrong_transcripts.md). 0 without labelled frames.

    Args:
        posteriors: ``(phones, F)``, see :func:`phone_posteriors`.
        labels: int64 ``(F,)``, see :func:`frame_labels`.
    """
    labelled = labels != UNLABELLED
    chosen = posteriors[:, labelled].clamp(min=LEAST_POSTERIOR).log()
    if not chosen.shape[1]:
        return 0.0
    return float((chosen.amax(dim=0) - chosen.gather(0, labels[labelled][None])[0]).mean())


def phone_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of ``(B, phones, F)`` scores and ``(B, F)`` labels, a scalar.

    The mean over the rows of each one's mean over its labelled frames, 0 without any: rows with many pauses weigh as
    much as others, and the loss of a batch is the mean of those of its parts.
    """
    each = functional.cross_entropy(scores, labels, ignore_index=UNLABELLED, reduction="none").sum(dim=1)
    return (each / (labels != UNLABELLED).sum(dim=1).clamp(min=1)).mean()


def frame_accuracy(scores: Tensor, labels: Tensor) -> float:
    """Share of the labelled frames whose phone has the highest score; 0 without any.

    Args:
        scores: ``(B, phones, F)``.
        labels: int64 ``(B, F)``.
    """
    labelled = labels != UNLABELLED
    right = (scores.argmax(dim=1) == labels) & labelled
    return float(right.sum()) / max(1, int(labelled.sum()))


def load_phone_classifier(device: torch.device | str = "cpu", folder: Path = ASSETS) -> PhoneClassifier:
    """The packaged phone classifier, frozen and in eval mode.

    Raises:
        VoicecloneError: a file is missing, damaged, or the weights do not belong to the config.
    """
    path = folder / "phone_classifier.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in info["config"].items()}
        config = PhoneClassifierConfig(**values)
        alphabet = info["alphabet"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VoicecloneError(f"{path} cannot be used ({error}): reinstall voiceclone") from error
    if alphabet != list(ALPHABET):
        raise VoicecloneError(f"{path}: another alphabet than this version's: reinstall voiceclone")
    with torch.random.fork_rng(devices=[]):
        phone_classifier = PhoneClassifier(config)
    state = {key: value.float() for key, value in read_safetensors(path.with_suffix(".safetensors")).items()}
    load_strictly(phone_classifier, state, path.with_suffix(".safetensors"))
    return phone_classifier.to(device).eval().requires_grad_(False)


def _code(symbol: str) -> int:
    phones = to_alphabet(symbol)
    return _CODES.get(phones[0], UNLABELLED) if phones else UNLABELLED
