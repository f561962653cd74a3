"""Training of style encoders that predict the voice vector of a base from its speech.

StyleTTS2's published encoders were not trained with Kokoro. These are trained on a corpus of the base's own speech
(:mod:`voiceclone.base_training.teacher`). The acoustic encoder predicts the first half of the vector, the prosodic
encoder the second. The speech is augmented by level, microphone, room, noise, bandwidth and blur, so that the encoders
generalise to recordings.
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

CROP_FRAMES = (72, 200)  # minimum and maximum mel frames of a training crop, 80 per second: 0.9 to 2.5 s
LEVEL_DB = (-12.0, 9.0)


@dataclass(frozen=True, kw_only=True)
class EncoderTraining:
    """Training settings of a pair of style encoders."""

    steps: int = 3000
    """Optimizer steps."""
    batch: int = 32
    """Crops in a step, each from a different utterance."""
    learning_rate: float = 1e-3
    held_out: float = 0.06
    """Fraction of the utterances (the last ones) held out for testing."""
    clean: float = 0.25
    """Fraction of the crops without augmentation."""
    cosine: float = 0.5
    """Weight of 1 - cosine of the deviations from the mean voice, relative to their squared error."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class StyleCorpus:
    """A corpus in memory."""

    mels: Sequence[Tensor] = field(repr=False)  # each (80, frames): normalised log-mel, silence trimmed
    vectors: Tensor = field(repr=False)  # (utterances, 256)


def read_speech(folder: Path) -> StyleCorpus:
    """Read a corpus of :mod:`voiceclone.base_training.teacher`, with the preprocessing of stage 1.

    Raises:
        VoicecloneError: the corpus is empty.
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
    """Train the encoders in place; returns metrics on the held-out utterances (see :func:`recovered`).

    Raises:
        VoicecloneError: there is too little speech, or the loss is not finite.
    """
    count = len(speech.mels)
    held = max(int(count * config.held_out), 1)
    if count - held < config.batch:
        raise VoicecloneError(f"{count} utterances are too few: speak {config.batch + held} at least")
    train = StyleCorpus(mels=speech.mels[: count - held], vectors=speech.vectors[: count - held])
    mean, spread = train.vectors.mean(dim=0), train.vectors.std(dim=0).clamp(min=1e-3)
    with torch.no_grad():  # initial output: the mean voice
        for encoder, half in zip((encoders.acoustic, encoders.prosodic), mean.split(STYLE_DIM)):
            encoder.unshared.bias.copy_(half)
    rng = np.random.default_rng(config.seed)

    def step(generator: Generator, done: float) -> Tensor:
        picked = rng.choice(len(train.mels), size=config.batch, replace=False)
        mels = random_crops([train.mels[i] for i in picked], rng)
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
    """How well the vectors of whole utterances are predicted, for each half.

    Args:
        encoders: the pair.
        speech: utterances.
        mean: the mean voice ``(256,)`` from which deviations are computed.

    Returns:
        ``cosine`` of the vectors, ``deviation_cosine`` of their deviations from the mean voice, and ``explained``, the
        explained fraction of the deviations' variance (1 is perfect, 0 the mean voice), each as ``NAME_acoustic`` and
        ``NAME_prosodic``.
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


def random_crops(mels: Sequence[Tensor], rng: np.random.Generator) -> Tensor:
    """Crops ``(B, 80, F)`` of one random length at random positions; shorter utterances are repeated."""
    frames = int(rng.integers(CROP_FRAMES[0], CROP_FRAMES[1] + 1))
    frames = max(MIN_FRAMES, frames - frames % 8)  # few different shapes, because kernels are compiled for each new one
    cut = []
    for mel in mels:
        whole = mel.repeat(1, math.ceil(frames / mel.shape[1])) if mel.shape[1] < frames else mel
        start = int(rng.integers(whole.shape[1] - frames + 1))
        cut.append(whole[:, start : start + frames])
    return torch.stack(cut)


def disturb(mels: Tensor, generator: Generator) -> Tensor:
    """Augment normalised log-mels ``(B, 80, F)`` by simulated microphones, rooms, noise and bandwidths."""
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
