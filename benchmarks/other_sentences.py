"""Measure voices on sentences of other speakers: likeness to a speaker by both encoders, and phone errors.

    python benchmarks/other_sentences.py VOICE.pt... --speaker DIR --sentences DIR...

--speaker is the dataset of the target speaker; similarity is measured to its validation clips. --sentences are datasets
of other speakers, whose first training sentences every voice speaks. Two held-out clips of a speaker are too few for a
phone error rate; these sentences are more, and no voice was optimized on them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base, load_base
from voiceclone.data.dataset import Dataset, load_dataset
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.metrics import SpeakerEncoder
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.nets.resemblyzer import required_resemblyzer
from voiceclone.nets.xvector import load_speaker_net
from voiceclone.voice.pack import VoicePack

PHONEMES = range(21, 160)  # of a sentence
AMONG = 40  # the first sentences, from which suitable ones are taken


def main() -> int:
    """Parse, measure, print one row per voice."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--speaker", type=Path, required=True)
    parser.add_argument("--sentences", type=Path, nargs="+", required=True)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--base", default="nano")
    parser.add_argument("voices", type=Path, nargs="+", metavar="VOICE.pt")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        base = load_base(options.base, offline=True)
        clips = _dataset(options.speaker, base).validation
        spoken = [clip.phonemes for folder in options.sentences for clip in _dataset(folder, base).train]
        sentences = [p for p in spoken[:AMONG] if len(p) in PHONEMES][: options.count]
        packs = [VoicePack.load(path) for path in options.voices]
        encoders: dict[str, SpeakerEncoder] = {"resemblyzer": required_resemblyzer(), "xvector": load_speaker_net()}
    except VoicecloneError as error:
        parser.error(str(error))
    centres = {name: _centre([net.embed(read_audio(c.path)) for c in clips]) for name, net in encoders.items()}
    kokoro, recognizer = FrozenKokoro(base.kmodel, torch.device("cpu")), load_recognizer()
    print(f"| voice, {len(sentences)} sentences | resemblyzer | xvector | PER % |\n|---|---|---|---|")
    for path, pack in zip(options.voices, packs):
        audio = [speech.numpy() for speech in speak(kokoro, pack, sentences)]
        near = [float(np.mean([net.embed(a) @ centres[name] for a in audio])) for name, net in encoders.items()]
        wrong, phones = np.sum([recognizer.error_rate(a, p) for a, p in zip(audio, sentences)], axis=0)
        print(f"| {path.stem} | {near[0]:.3f} | {near[1]:.3f} | {100 * wrong / phones:.1f} |", flush=True)
    return 0


def speak(kokoro: FrozenKokoro, pack: VoicePack, sentences: list[str]) -> list[Tensor]:
    """Every sentence in a voice, ``(T,)`` at 24 kHz, with the same noise for every voice."""
    torch.manual_seed(0)
    texts = [kokoro.text(phonemes) for phonemes in sentences]
    return [kokoro.speak(text, pack.row(text.phoneme_count))[0] for text in texts]


def _dataset(folder: Path, base: Base) -> Dataset:
    return load_dataset(folder, lang="a", seed=0, vocab=base.kmodel.vocab)


def _centre(vectors: list[np.ndarray]) -> np.ndarray:
    mean = np.mean(vectors, axis=0)
    return mean / np.linalg.norm(mean)


if __name__ == "__main__":
    sys.exit(main())
