#!/usr/bin/env python3
"""Measure voices made without training from one clip: similarity from another speaker (0) to a recording (1).

    python benchmarks/zero_shot.py --base kokoro --data SPEECH/librispeech_1688 SPEECH/vctk_p226 \
        --many SPEECH/librispeech_251_speakers --speakers 20 --json zero_shot.json

The voice is made from the first clip of each speaker; its speech is compared with the mean vector of the other clips.
Datasets of ``--many`` have one clip per speaker: its first 60 % make the voice, the rest is compared with.
The scale, per speaker and encoder: (voice - stranger) / (recording - stranger), where *recording* is the clip that made
the voice and *stranger* the mean over the other speakers' clips. The voice is compared with that of the next speaker
(whether stage 1 matters at all) and the best stock voice by Resemblyzer's table. Needs Resemblyzer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base, load_base
from voiceclone.cloning.zero_shot import untrained_voice
from voiceclone.data.metadata import read_train
from voiceclone.distributed import convolution_dtype
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.metrics import SpeakerEncoder
from voiceclone.files import write_json
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.campplus import load_campplus
from voiceclone.nets.resemblyzer import required_resemblyzer
from voiceclone.nets.xvector import load_speaker_net
from voiceclone.projection.stock_table import StockTable, find_table
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.pack import VoicePack

SENTENCES = (
    "The river was quiet, and only two of the boats had their lamps lit.",
    "He had never seen so many people waiting for a single train.",
    "Could you bring me the second volume, please, and close the window?",
)
SHARE = 0.6  # of a speaker's only clip that makes the voice
LEAST_SECONDS = 10.0  # of a clip that is cut in two


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One speaker's recordings at 24 kHz."""

    name: str
    clip: np.ndarray
    """``(T,)``: makes the voice."""
    others: list[np.ndarray]
    """What it is compared with."""


def main() -> int:
    """Parse, make, speak, measure; one row per speaker, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="datasets of one speaker each")
    parser.add_argument("--many", type=Path, help="a dataset with one clip per speaker")
    parser.add_argument("--speakers", type=int, default=20, help="of --many")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    try:
        speakers = [*_of_folders(options.data), *_of_one_dataset(options.many, options.speakers)]
        if len(speakers) < 3:
            raise VoicecloneError("--data and --many hold fewer than three speakers: the scale needs strangers")
        figures = _measure(load_base(options.base, offline=True), speakers)
        if options.json is not None:
            write_json(options.json, figures)
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _of_folders(folders: list[Path]) -> Iterator[Speaker]:
    for folder in folders:
        clips = [read_audio(entry.path) for entry in read_train(folder)]
        yield Speaker(name=folder.name, clip=clips[0], others=clips[1:])


def _of_one_dataset(folder: Path | None, count: int) -> Iterator[Speaker]:
    if folder is None:
        return
    for entry in read_train(folder):
        audio = read_audio(entry.path)
        if count and len(audio) >= LEAST_SECONDS * SAMPLE_RATE:
            count -= 1
            cut = int(SHARE * len(audio))
            yield Speaker(name=str(entry.speaker), clip=audio[:cut], others=[audio[cut:]])


def _measure(base: Base, speakers: list[Speaker]) -> dict[str, dict[str, float]]:
    resemblyzer, table = required_resemblyzer(), find_table(base)
    if table is None:
        raise VoicecloneError(f"{base.title} has no table of stock voices: `voiceclone stock-table` makes it")
    encoders: dict[str, SpeakerEncoder] = {"resemblyzer": resemblyzer, "xvector": load_speaker_net()}
    if (strong := load_campplus()) is not None:
        encoders["campplus"] = strong
    speak = _speaker_of(base)
    voices = [untrained_voice(base, [(s.name, s.clip)], s.name)[0] for s in speakers]
    stock = [_best_stock(resemblyzer, table, s.clip) for s in speakers]
    spoken = {"zero-shot": [speak(voice) for voice in voices]}
    spoken["the next speaker's"] = [*spoken["zero-shot"][1:], spoken["zero-shot"][0]]
    by_name = cache(lambda name: speak(base.stock_voices[name]))
    spoken["best stock"] = [by_name(name) for name in stock]
    print("| speaker | encoder | recording | stranger | " + " | ".join(spoken) + " |\n|---|---|---|---|---|---|---|")
    figures: dict[str, dict[str, float]] = {}
    for encoder_name, net in encoders.items():
        clips = np.stack([net.embed(s.clip) for s in speakers])
        centres = np.stack([_unit(np.mean([net.embed(a) for a in s.others], axis=0)) for s in speakers])
        cosines = clips @ centres.T
        scaled: dict[str, list[float]] = {name: [] for name in spoken}
        for i, speaker in enumerate(speakers):
            own, stranger = cosines[i, i], np.delete(cosines[:, i], i).mean()
            for name, pieces in spoken.items():
                near = float(np.mean([net.embed(audio) @ centres[i] for audio in pieces[i]]))
                scaled[name].append(float((near - stranger) / (own - stranger)))
            cells = " | ".join(f"{values[-1]:.2f}" for values in scaled.values())
            print(f"| {speaker.name} | {encoder_name} | {own:.2f} | {stranger:.2f} | {cells} |", flush=True)
        figures[encoder_name] = {
            **{name: float(np.mean(values)) for name, values in scaled.items()},
            "beats best stock, share": float(np.mean(np.greater(scaled["zero-shot"], scaled["best stock"]))),
            "beats the next speaker's, share": float(
                np.mean(np.greater(scaled["zero-shot"], scaled["the next speaker's"]))
            ),
        }
        print(f"{encoder_name}: " + ", ".join(f"{k} {v:.2f}" for k, v in figures[encoder_name].items()), flush=True)
    return figures


def _speaker_of(base: Base) -> Callable[[VoicePack], list[np.ndarray]]:
    """A function from a voice to its speech of the sentences."""
    device = torch.device("cpu")
    kokoro = FrozenKokoro(base.kmodel, device, convolutions=convolution_dtype("auto", device))
    phonemize = Phonemizer("a").phonemes
    texts = [kokoro.text(phonemize(sentence)) for sentence in SENTENCES]

    @torch.no_grad()
    def speak(voice: VoicePack) -> list[np.ndarray]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return [kokoro.utter(text, voice.row(text.phoneme_count)).audio.float().numpy() for text in texts]

    return speak


def _best_stock(encoder: SpeakerEncoder, table: StockTable, clip: np.ndarray) -> str:
    return table.names[int((table.speaker @ torch.from_numpy(encoder.embed(clip))).argmax())]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


if __name__ == "__main__":
    sys.exit(main())
