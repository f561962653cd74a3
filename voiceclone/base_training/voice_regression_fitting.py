"""Ridge regression of voice vectors on a corpus of a base's own speech (:mod:`teacher`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from voiceclone.audio.features import LogMel
from voiceclone.base_training.teacher import read_utterance, utterance_numbers
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.nets.resemblyzer import ResemblyzerEncoder
from voiceclone.style.encoders import StyleEncoders, for_inference
from voiceclone.style.extraction import reference_mel
from voiceclone.style.voice_regression import F0_DIM, VALUES, VoiceRegression, f0_statistics

RIDGE = 1.5e-3
"""Weight of the squared coefficients, per utterance. It explains 0.66 and 0.18 of the variance of unseen voices
(acoustic and prosodic half); 0.5e-3 explains 0.66 and 0.16, 4e-3 0.64 and 0.19."""
HELD_OUT = 5
"""Every so many utterances one is held out for testing."""
SAME_VOICE = 1e-2
"""Distance of two voice vectors below which they are one voice; different ones of the corpus
are 0.5 apart or more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredSpeech:
    """Features and voices of ``N`` utterances."""

    style: Tensor = field(repr=False)  # (N, 256)
    speaker: Tensor = field(repr=False)  # (N, 256)
    f0: Tensor = field(repr=False)  # (N, 2): see f0_statistics
    voices: Tensor = field(repr=False)  # (N, 256): the voices' reference rows

    def __len__(self) -> int:
        return len(self.voices)

    def of(self, chosen: Tensor) -> MeasuredSpeech:
        """The utterances where ``chosen`` ``(N,)`` is True."""
        return MeasuredSpeech(
            style=self.style[chosen], speaker=self.speaker[chosen], f0=self.f0[chosen], voices=self.voices[chosen]
        )

    @property
    def features(self) -> Tensor:
        """``(N, FEATURES)``."""
        return torch.cat([self.style, self.speaker, self.f0], dim=1)


@torch.no_grad()
def measure_speech(
    folder: Path,
    encoders: StyleEncoders,
    speaker_encoder: ResemblyzerEncoder,
    advance: Callable[[], None] = lambda: None,
) -> MeasuredSpeech:
    """Measure a corpus; utterances with hardly any voiced frame are left out.

    Raises:
        VoicecloneError: the corpus is empty.
    """
    log_mel, fast = LogMel(), for_inference(encoders, torch.device("cpu"))
    rows: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for number in utterance_numbers(folder):
        one = read_utterance(folder, number)
        advance()
        if (statistics := f0_statistics([one.f0.numpy()])) is None:
            continue
        style = fast(reference_mel(one.audio, log_mel))[0].float()
        rows.append((style, torch.from_numpy(speaker_encoder.embed(one.audio)), torch.from_numpy(statistics), one.base))
    if not rows:
        raise VoicecloneError(f"{folder} holds no utterances: speak them first")
    style, speaker, f0, voices = (torch.stack(column).float() for column in zip(*rows))
    return MeasuredSpeech(style=style, speaker=speaker, f0=f0, voices=voices)


def fit_voice_regression(speech: MeasuredSpeech, ridge: float = RIDGE) -> VoiceRegression:
    """Ridge regression of the voices on all features.

    Each block of features (style, speaker, F0) is scaled so that it has the same total variance.

    Args:
        speech: what to fit.
        ridge: see :data:`RIDGE`.
    """
    features, voices = speech.features.double(), speech.voices.double()
    mean, voice_mean = features.mean(dim=0), voices.mean(dim=0)
    centred = features - mean
    scale = torch.cat([_block_scale(block) for block in centred.split([VALUES, speech.speaker.shape[1], F0_DIM], 1)])
    centred = centred / scale
    gram = centred.T @ centred + ridge * len(speech) * torch.eye(len(mean), dtype=torch.float64)
    weight = torch.linalg.solve(gram, centred.T @ (voices - voice_mean)) / scale[:, None]
    return VoiceRegression(
        weight=weight.float(), bias=(voice_mean - mean @ weight).float(), f0_mean=mean[-F0_DIM:].float()
    )


def explained_variance(speech: MeasuredSpeech, ridge: float = RIDGE) -> dict[str, float]:
    """Fraction of the variance of unseen voices that a regression on other utterances explains, for each half.

    Every :data:`HELD_OUT`-th utterance is held out; those whose voice (a stock voice) speaks in the others too are left
    out of the test. ``*_style``: by the style encoders alone. ``unseen_voices`` is the number of tested utterances.
    """
    held = torch.arange(len(speech)) % HELD_OUT == 0
    train, rest = speech.of(~held), speech.of(held)
    test = rest.of((torch.cdist(rest.voices, train.voices) > SAME_VOICE).all(dim=1))
    fitted = fit_voice_regression(train, ridge)
    found = test.features @ fitted.weight + fitted.bias
    mean = train.voices.mean(dim=0)
    result = {"unseen_voices": float(len(test))}
    for name, half in (("acoustic", slice(0, STYLE_DIM)), ("prosodic", slice(STYLE_DIM, None))):
        total = (test.voices - mean)[:, half].square().sum()
        for suffix, values in (("", found), ("_style", test.style)):
            result[name + suffix] = float(1.0 - (values - test.voices)[:, half].square().sum() / total)
    return result


def _block_scale(block: Tensor) -> Tensor:
    """The divisor ``(D,)`` that gives a block ``(N, D)`` a total variance of 1; each statistic of F0 has its own."""
    deviation = block.std(dim=0)
    if block.shape[1] == F0_DIM:
        return deviation * F0_DIM**0.5
    return torch.full_like(deviation, float(deviation.mean()) * block.shape[1] ** 0.5)
