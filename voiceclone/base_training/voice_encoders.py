"""Train style encoders whose space is a base's own: speech of the base in, the voice vector that made it out.

StyleTTS2's published encoders were never trained with Kokoro. These are trained on a corpus of the base's own speech
(:mod:`voiceclone.base_training.teacher`): the acoustic encoder finds the first half of the vector, the prosodic encoder
the second. The speech is disturbed by level, microphone, room, noise, bandwidth and blur, so that recordings of people
stay within what the encoders know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from voiceclone.audio import augment
from voiceclone.audio.features import LOG_MEAN, LOG_STD, LogMel
from voiceclone.base_training.fitting import FitConfig, fit_net
from voiceclone.base_training.teacher import read_utterance, utterance_numbers
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.style.encoders import StyleEncoders
from voiceclone.style.extraction import MIN_FRAMES, reference_mel
from voiceclone.voice.pack import VOICE_DIM

CROP_FRAMES = (72, 200)  # mel frames of a training crop, 80 a second: 0.9 to 2.5 s
LEVEL_DB = (-12.0, 9.0)


@dataclass(frozen=True, kw_only=True)
class EncoderTraining:
    """How a pair of style encoders is trained on a base's speech."""

    steps: int = 3000
    """Optimiser steps."""
    batch: int = 32
    """Crops a step, each of an utterance of its own."""
    learning_rate: float = 1e-3
    held_out: float = 0.06
    """Share of the utterances, the last ones, that the pair is tested on."""
    clean: float = 0.25
    """Share of the crops that are left as they are."""
    cosine: float = 0.5
    """Weight of 1 - cosine of the deviations from the mean voice, beside their squared error."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class StyleCorpus:
    """A corpus in memory."""

    mels: Sequence[Tensor] = field(repr=False)  # each (80, frames): normalised log-mel, silence trimmed
    vectors: Tensor = field(repr=False)  # (utterances, 256)


def read_speech(folder: Path) -> StyleCorpus:
    """Read a corpus that :mod:`voiceclone.base_training.teacher` wrote; preprocessing is that of stage 1.

    Raises:
        VoicecloneError: there is nothing to learn from.
    """
    log_mel, mels, vectors = LogMel(), [], []
    for number in utterance_numbers(folder):
        utterance = read_utterance(folder, number)
        mels.append(reference_mel(utterance.audio, log_mel)[0])
        vectors.append(utterance.base)
    if not mels:
        raise VoicecloneError(f"{folder} holds no utterances: speak them first")
    return StyleCorpus(mels=mels, vectors=torch.stack(vectors).float())


def train_voice_encoders(encoders: StyleEncoders, speech: StyleCorpus, config: EncoderTraining) -> dict[str, float]:
    """Train in place; figures of the utterances held out (see :func:`recovered`).

    Raises:
        VoicecloneError: too little speech, or the loss is not finite.
    """
    count = len(speech.mels)
    held = max(int(count * config.held_out), 1)
    if count - held < config.batch:
        raise VoicecloneError(f"{count} utterances are too few: speak {config.batch + held} at least")
    train = StyleCorpus(mels=speech.mels[: count - held], vectors=speech.vectors[: count - held])
    mean, spread = train.vectors.mean(dim=0), train.vectors.std(dim=0).clamp(min=1e-3)
    with torch.no_grad():  # the answer of encoders that know nothing yet: the mean voice
        for encoder, half in zip((encoders.acoustic, encoders.prosodic), mean.split(STYLE_DIM)):
            encoder.unshared.bias.copy_(half)
    rng = np.random.default_rng(config.seed)

    def step(generator: Generator, done: float) -> Tensor:
        picked = rng.choice(len(train.mels), size=config.batch, replace=False)
        mels = crops([train.mels[i] for i in picked], rng)
        clean = torch.rand(config.batch, 1, 1, generator=generator) < config.clean
        heard = torch.where(clean, mels, disturb(mels, generator))
        wanted = (train.vectors[torch.from_numpy(picked)] - mean) / spread
        found = (encoders(heard) - mean) / spread
        halves = zip(found.split(STYLE_DIM, dim=1), wanted.split(STYLE_DIM, dim=1))
        turned = sum((1 - functional.cosine_similarity(ours, theirs)).mean() for ours, theirs in halves)
        return functional.mse_loss(found, wanted) + config.cosine * turned

    parameters = [parameter for parameter in encoders.parameters() if parameter.requires_grad]
    fit_net(
        encoders, parameters, step, FitConfig(steps=config.steps, seed=config.seed, learning_rate=config.learning_rate)
    )
    tested = StyleCorpus(mels=speech.mels[count - held :], vectors=speech.vectors[count - held :])
    return recovered(encoders, tested, mean)


@torch.no_grad()
def recovered(encoders: nn.Module, speech: StyleCorpus, mean: Tensor) -> dict[str, float]:
    """How well the vectors of whole utterances are found, by half.

    Args:
        mean: the mean voice ``(256,)`` that deviations are taken from.

    Returns:
        ``cosine`` of the vectors, ``deviation_cosine`` of their deviations from the mean voice, and ``explained``, the
        share of the deviations' energy (1 is perfect, 0 the mean voice), each as ``NAME_acoustic``, ``NAME_prosodic``.
    """
    found = torch.cat([encoders(mel[None]) for mel in speech.mels])
    figures: dict[str, float] = {}
    for name, half in (("acoustic", slice(0, STYLE_DIM)), ("prosodic", slice(STYLE_DIM, VOICE_DIM))):
        ours, theirs, middle = found[:, half], speech.vectors[:, half], mean[half]
        figures[f"cosine_{name}"] = float(functional.cosine_similarity(ours, theirs).mean())
        figures[f"deviation_cosine_{name}"] = float(functional.cosine_similarity(ours - middle, theirs - middle).mean())
        left = (ours - theirs).square().sum() / (theirs - middle).square().sum()
        figures[f"explained_{name}"] = 1.0 - float(left)
    return figures


def crops(mels: Sequence[Tensor], rng: np.random.Generator) -> Tensor:
    """Crops ``(B, 80, F)`` of one random length at random places; what is shorter is repeated."""
    frames = int(rng.integers(CROP_FRAMES[0], CROP_FRAMES[1] + 1))
    frames = max(MIN_FRAMES, frames - frames % 8)  # few different shapes: each new one costs the building of kernels
    cut = []
    for mel in mels:
        whole = mel.repeat(1, math.ceil(frames / mel.shape[1])) if mel.shape[1] < frames else mel
        start = int(rng.integers(whole.shape[1] - frames + 1))
        cut.append(whole[:, start : start + frames])
    return torch.stack(cut)


def disturb(mels: Tensor, generator: Generator) -> Tensor:
    """Normalised log-mels ``(B, 80, F)`` as other microphones, rooms and files would have them."""
    natural = mels * LOG_STD + LOG_MEAN
    level = torch.logsumexp(natural, dim=(1, 2), keepdim=True) - math.log(natural[0].numel())
    features = natural - level
    features = augment.reverberate(features, generator, share=0.4)
    features = augment.equalize(features, generator, spread_db=3.0)
    features = augment.add_noise(features, generator, share=0.6, snr_db=(8.0, 40.0))
    features = augment.blur(features, generator, share=0.15)
    features = augment.limit_band(features, generator, share=0.25)
    low, high = LEVEL_DB
    gain = (low + (high - low) * torch.rand(len(mels), 1, 1, generator=generator)) * math.log(10) / 10
    return (torch.log(1e-5 + torch.exp(features + level + gain)) - LOG_MEAN) / LOG_STD
