#!/usr/bin/env python3
"""A random walk over the voice as kvoicewalk makes it, with several times the time of a finished clone.

    python benchmarks/random_walk.py --base kokoro --run output/v --data SPEECH/NAME --out walk/v.pt
    python benchmarks/real_kokoro.py --base kokoro --run output/v --data SPEECH/NAME --also walk/v.pt

kvoicewalk (https://github.com/RobViren/kvoicewalk) starts at the mean of the ten stock voices with the best score, adds
normal noise of a random size, and keeps what scores better. Its score is the weighted harmonic mean of three
similarities: to the target recording, between two texts, and of acoustic features (weights 0.48, 0.5, 0.02). Unlike
kvoicewalk, which draws new noise for each of the 510 rows, all rows are moved alike: the two texts use different rows,
and independent noise would make them differ.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from real_kokoro import dataset_of

from voiceclone.audio.io import SAMPLE_RATE, read_audio
from voiceclone.bases.base import Base, load_base
from voiceclone.data.dataset import Clip
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.resemblyzer import required_resemblyzer
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.pack import VoicePack

TIMES = 5  # the clone's seconds that the walk is given
POPULATION = 10  # stock voices whose mean is the start, and whose spread scales the noise
NOISE = (0.01, 0.15)  # smallest and largest size, relative to the spread
WEIGHTS = (0.48, 0.5, 0.02)  # of the similarities to the target, between two texts, and of the features
FAR = 0.98  # a voice below this share of the best similarity to the target is not scored any further


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A voice's score and the part of it that is its similarity to the target."""

    score: float
    target: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """What a walk found."""

    voice: VoicePack
    score: float
    found: float
    """Seconds after which the best voice was found."""
    count: int
    """Voices that were scored."""
    each: float
    """Seconds that each voice took after the stock voices and the start were scored; NaN where there was none."""


Score = Callable[[VoicePack, float], Scored]
"""A voice, and the least similarity to the target for which the whole score is needed."""


def random_walk(
    score: Score,
    stock: Iterable[VoicePack],
    *,
    seconds: float,
    seed: int = 0,
    advance: Callable[[float], None] = lambda seconds: None,
) -> Walk:
    """Walk for so many seconds, the ranking of the stock voices included.

    Args:
        score: of a voice, higher is nearer.
        stock: the stock voices; a walk starts from the English ones.
        seconds: wall time.
        seed: of the noise.
        advance: called with the seconds so far after every voice.
    """
    stock = list(stock)
    packs = [pack for pack in stock if pack.name.startswith(("a", "b"))] or stock  # English, where there are such
    started, rng = time.perf_counter(), np.random.default_rng(seed)

    def scored(pack: VoicePack, least: float) -> Scored:
        value = score(pack, least)
        advance(time.perf_counter() - started)
        return value

    ranked = sorted(packs, key=lambda pack: -scored(pack, 0.0).score)[:POPULATION]
    tensors = torch.stack([pack.tensor for pack in ranked])
    voice, spread = VoicePack(tensors.mean(0), "random_walk"), tensors.std(0)[100, 0]
    best, count = scored(voice, 0.0), len(packs) + 1
    found = ranking = time.perf_counter() - started
    while time.perf_counter() - started < seconds:
        noise = torch.from_numpy(rng.standard_normal(256)).float() * spread * rng.uniform(*NOISE)
        new = VoicePack(voice.tensor + noise, "random_walk")
        value, count = scored(new, FAR * best.target), count + 1
        if value.score > best.score:
            voice, best, found = new, value, time.perf_counter() - started
    steps = count - len(packs) - 1
    each = (time.perf_counter() - started - ranking) / steps if steps else math.nan
    return Walk(voice=voice, score=best.score, found=found, count=count, each=each)


class HarmonicScore:
    """kvoicewalk's score of a voice: 0-1 for similarities that are positive.

    Args:
        base: speaks.
        target: the recording that is imitated; the voice speaks its text.
        other: phonemes of another text, for the similarity between texts.
    """

    def __init__(self, base: Base, target: Clip, other: str) -> None:
        self.encoder = required_resemblyzer()
        self.kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
        self.texts = [self.kokoro.text(phonemes) for phonemes in (target.phonemes, other)]
        recording = read_audio(target.path)
        self.wanted, self.features = self.encoder.embed(recording), acoustic_features(recording)

    def __call__(self, pack: VoicePack, least: float = 0.0) -> Scored:
        """The score; 0 where the similarity to the target is below ``least``, which saves the second text."""
        audio = self._speak(pack, 0)
        vector = self.encoder.embed(audio)
        target = float(vector @ self.wanted)
        if target <= least:
            return Scored(score=0.0, target=target)
        itself = float(vector @ self.encoder.embed(self._speak(pack, 1)))
        penalty = np.sum(np.abs(acoustic_features(audio) / self.features - 1.0))
        alike = (100.0 - penalty) / 100.0
        values = np.array([target, itself, alike if alike >= 0.0 else 0.01])
        return Scored(score=float(sum(WEIGHTS) / np.sum(np.array(WEIGHTS) / values)), target=target)

    def _speak(self, pack: VoicePack, which: int) -> np.ndarray:
        text = self.texts[which]
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            return self.kokoro.speak(text, pack.row(text.phoneme_count))[0].numpy()


def acoustic_features(audio: np.ndarray) -> np.ndarray:
    """kvoicewalk's features of speech ``(T,)`` at 24 kHz: level, zero crossings, mean and spread of spectral curves."""
    common: dict[str, Any] = {"y": audio, "sr": SAMPLE_RATE, "n_fft": 2048, "hop_length": 512}
    feature = librosa.feature
    mfcc = feature.mfcc(**common, n_mfcc=13)
    chroma = feature.chroma_stft(**common)
    curves = [
        feature.spectral_centroid(**common)[0],
        feature.spectral_bandwidth(**common)[0],
        feature.spectral_rolloff(**common)[0],
        feature.spectral_contrast(**common),
        *mfcc,
        *feature.delta(mfcc),
        chroma,
        *chroma,
        feature.melspectrogram(**common),
        feature.spectral_flatness(y=audio, n_fft=2048, hop_length=512)[0],
        feature.tonnetz(y=audio, sr=SAMPLE_RATE),
    ]
    single = [np.sqrt(np.mean(audio**2)), np.mean(feature.zero_crossing_rate(audio))]
    return np.array([*single, *(value for curve in curves for value in (np.mean(curve), np.std(curve)))], dtype=float)


def target_and_other(clips: Iterable[Clip]) -> tuple[Clip, str]:
    """The clip of median length, which is imitated, and the phonemes of the shortest one."""
    by_length = sorted(clips, key=lambda clip: len(clip.phonemes))
    return by_length[len(by_length) // 2], by_length[0].phonemes


def main() -> int:
    """Parse, walk, write the voice and its facts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--run", type=Path, required=True, help="output folder of the finished clone")
    parser.add_argument("--data", type=Path, required=True, help="the dataset it was made from")
    parser.add_argument("--times", type=float, default=TIMES, help=f"the clone's seconds (default: {TIMES})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="VOICE.pt")
    options = parser.parse_args()
    try:
        base = load_base(options.base, offline=True)
        clips = dataset_of(options.run, options.data, base).train
        target, other = target_and_other(clips)
        seconds = options.times * json.loads((options.run / "report.json").read_text())["seconds"]
        with Reporter().task("Random walk", total=round(seconds), unit="second") as task:
            spent = [0]

            def advance(now: float) -> None:
                task.advance(int(min(now, seconds)) - spent[0])
                spent[0] = int(min(now, seconds))

            score = HarmonicScore(base, target, other)
            walk = random_walk(score, base.stock_voices.values(), seconds=seconds, seed=options.seed, advance=advance)
        walk.voice.save(options.out)
    except VoicecloneError as error:
        parser.error(str(error))
    print(f"{options.out}: score {walk.score:.4f} after {walk.found:.0f} of {seconds:.0f} s, {walk.count} voices")
    return 0


if __name__ == "__main__":
    sys.exit(main())
