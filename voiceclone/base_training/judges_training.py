"""Training of the phone recogniser and the speaker encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.audio import augment
from voiceclone.base_training.fitting import FitConfig, fit_net
from voiceclone.nets.front_end import N_MELS
from voiceclone.nets.phone_recognizer import BLANK, PhoneRecognizer
from voiceclone.nets.xvector import SpeakerNet
from voiceclone.text.alphabet import ALPHABET


@dataclass(frozen=True, kw_only=True)
class JudgeTraining(FitConfig):
    """Training settings of the evaluation's networks."""

    frames: int = 6_000
    """Frames of 10 ms in a batch of the recogniser, including padding."""
    crops: int = 64
    """Crops in a batch of the speaker encoder."""
    crop_seconds: tuple[float, float] = (1.5, 4.0)
    margin: float = 0.2
    """Additive angular margin in radians."""
    scale: float = 30.0


def train_recognizer(
    features: Sequence[np.ndarray], phones: Sequence[Sequence[str]], config: JudgeTraining, net: PhoneRecognizer
) -> None:
    """Train ``net`` in place with CTC.

    Args:
        features: log-mels ``(80, F)`` of whole utterances. An utterance that is listed twice is drawn twice as often.
        phones: the phones of each.
        config: settings.
        net: the recogniser.
    """
    codes = {phone: index + 1 for index, phone in enumerate(ALPHABET)}
    targets = [torch.tensor([codes[p] for p in row]) for row in phones]
    loss = nn.CTCLoss(blank=BLANK, zero_infinity=True)
    rng = np.random.default_rng(config.seed)
    lengths = np.array([f.shape[1] for f in features])

    def step(generator: torch.Generator, _done: float) -> Tensor:
        if not pending:
            pending.extend(_bucketed(lengths, config.frames, rng))
        picked = pending.pop()
        batch, sizes = _padded([features[i] for i in picked])
        batch, sizes = _disturb_speech(batch, sizes, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores, valid = net(batch, sizes)
        wanted = [targets[i] for i in picked]
        counts = torch.tensor([len(t) for t in wanted])
        return loss(scores.transpose(0, 1), torch.cat(wanted), valid, counts)

    pending: list[list[int]] = []
    fit_net(net, list(net.parameters()), step, config)


def train_speaker_net(clips: Sequence[Sequence[Sequence[np.ndarray]]], config: JudgeTraining, net: SpeakerNet) -> None:
    """Train ``net`` in place with an additive angular margin loss (Deng et al. 2019).

    Args:
        clips: log-mels ``(80, F)`` by group, speaker and clip. Batches are balanced over groups, and over the speakers
            of a
            group.
        config: settings.
        net: the speaker encoder.
    """
    speakers = [(group, speaker) for group, members in enumerate(clips) for speaker in range(len(members))]
    of_group = [[k for k, (g, _) in enumerate(speakers) if g == group] for group in range(len(clips))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        centres = nn.Parameter(nn.init.xavier_normal_(torch.empty(len(speakers), net.config.size)))
    rng = np.random.default_rng(config.seed)

    def step(generator: torch.Generator, done: float) -> Tensor:
        labels = np.concatenate([rng.choice(own, config.crops // len(clips)) for own in of_group])
        frames = int(100 * rng.uniform(*config.crop_seconds))
        crops = np.stack([_crop(_pick(clips[g][s], rng), frames, rng) for g, s in (speakers[k] for k in labels)])
        batch = _disturb_voice(torch.from_numpy(crops).float(), generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors = net(batch)
        cosine = vectors @ nn.functional.normalize(centres, dim=1).T
        return _margin_loss(cosine, torch.from_numpy(labels), config.margin * min(done / 0.3, 1.0), config.scale)

    fit_net(net, [*net.parameters(), centres], step, config)


def _margin_loss(cosine: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Cross-entropy of ``(B, K)`` cosines after adding ``margin`` to the angle of the true speaker."""
    rows = torch.arange(len(labels))
    angle = torch.acos(cosine[rows, labels].clamp(-1 + 1e-6, 1 - 1e-6))
    harder = torch.cos((angle + margin).clamp_max(math.pi))
    scores = cosine.clone()
    scores[rows, labels] = harder
    return nn.functional.cross_entropy(scale * scores, labels)


def _disturb_speech(batch: Tensor, sizes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    frames = batch.shape[2]
    batch = augment.random_warp(batch, generator, speed=(0.85, 1.2), pitch=(0.9, 1.1))
    sizes = (sizes * batch.shape[2] / frames).round().long().clamp(1, batch.shape[2])
    batch = augment.blur(batch, generator, share=0.15)
    batch = augment.add_noise(batch, generator, share=0.5, snr_db=(5.0, 35.0))
    batch = augment.limit_band(batch, generator, share=0.15)
    return augment.mask(batch, generator, bands=2, bins=10, stretches=4, frames=10), sizes


def _disturb_voice(batch: Tensor, generator: torch.Generator) -> Tensor:
    batch = augment.equalize(batch, generator, spread_db=2.5)
    batch = augment.add_noise(batch, generator, share=0.6, snr_db=(5.0, 40.0))
    batch = augment.limit_band(batch, generator, share=0.25)
    return augment.mask(batch, generator, bands=1, bins=8, stretches=2, frames=15)


def _bucketed(lengths: np.ndarray, budget: int, rng: np.random.Generator) -> list[list[int]]:
    """Batches of similar length with at most ``budget`` frames (including padding), in random order."""
    order = np.argsort(lengths * rng.uniform(0.95, 1.05, len(lengths)))
    batches: list[list[int]] = [[]]
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if batches[-1] and longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(int(index))
    return [batches[k] for k in rng.permutation(len(batches))]


def _padded(features: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([f.shape[1] for f in features])
    batch = torch.zeros(len(features), N_MELS, int(sizes.max()))
    for row, feature in zip(batch, features, strict=True):
        row[:, : feature.shape[1]] = torch.from_numpy(feature.astype(np.float32))
    return batch, sizes


def _pick(clips: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return clips[int(rng.integers(len(clips)))]


def _crop(feature: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop of ``frames``; a shorter clip is repeated."""
    if feature.shape[1] < frames:
        feature = np.tile(feature, (1, -(-frames // feature.shape[1])))
    first = int(rng.integers(0, feature.shape[1] - frames + 1))
    return feature[:, first : first + frames]
