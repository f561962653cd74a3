#!/usr/bin/env python3
"""Compare a fine-tuned base with the unchanged one on recordings of the speaker that trained nothing.

    python benchmarks/finetuned_base.py --base kokoro --run RUN --data DATA --heldout HELDOUT

RUN is the finished fine-tuning of ``--base``, which has Kokoro's voices, on the dataset DATA. Two tables: the distances
of the held-out clips and of the base's own speech, whole utterances (with true durations, F0 and energy for the mel; of
the predictor's own F0, energy and durations), and the speech of sentences that are in no dataset, by the judges of
real_kokoro.py. The voice of the speaker and a stock voice speak on both bases.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from real_kokoro import COLUMNS, Judges, speak

from voiceclone.audio.io import read_audio
from voiceclone.base_training.base_aligner import aligner_of
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, prepare_corpus
from voiceclone.base_training.discriminators import Discriminators
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.base_training.finetuned_voice import energy_offset
from voiceclone.base_training.objective import SpeechObjective
from voiceclone.base_training.vector_batches import VoiceBatches
from voiceclone.bases.base import load_base
from voiceclone.data.dataset import load_dataset
from voiceclone.data.rows import read_rows
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.presets import full_config
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.pack import VoicePack

STOCK = "af_heart"
DISTANCES = ("mel", "f0", "energy", "duration")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True, help="dataset of the same speaker")
    options = parser.parse_args()
    try:
        _distances(options)
        _speech(options)
    except VoicecloneError as error:
        parser.error(str(error))
    return 0


def _distances(options: argparse.Namespace) -> None:
    base = find_finetuned_base(options.base)
    vocab, phonemize = full_config()["vocab"], Phonemizer("a").phonemes
    rows, align = read_rows([options.heldout]), aligner_of(base, "a")
    held_out = prepare_corpus(rows, options.run / "heldout", vocab, phonemize=phonemize, align=align)
    rehearsed = Corpus([options.run / "cache" / "rehearsal"])
    (voice,) = (options.run / "base" / "voices").glob("*.pt")
    voices = dict.fromkeys(held_out.speakers, VoicePack.load(voice).tensor)
    config = TrainConfig(steps=1)
    batches = {
        "held out": VoiceBatches(held_out, config, voices, energy_offset=energy_offset(rehearsed)),
        "stock voices": VoiceBatches(rehearsed, config, {}),
    }
    print(f"| speech | base | {' | '.join(DISTANCES)} |\n|---|---|{'---|' * len(DISTANCES)}")
    for name, part in batches.items():
        for kind, which in (("unchanged", options.base), ("fine-tuned", options.run / "base")):
            objective = SpeechObjective(load_base(which).kmodel, Discriminators(), config)
            values = _distance(objective, part)
            print(f"| {name} | {kind} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)


@torch.no_grad()
def _distance(objective: SpeechObjective, batches: VoiceBatches) -> list[float]:
    """Means of :data:`DISTANCES` for up to eight whole utterances."""
    count, found = len(batches.corpus.utterances), []
    for index in list(range(0, count, max(1, count // 8)))[:8]:
        batch = batches.fixed([index])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            terms, _ = objective.decoded(
                batch, batch.vectors[:, :STYLE_DIM], adversarial=False, bandwidth=batch.bandwidth
            )
        terms.update(objective.predicted(batch, batch.vectors[:, STYLE_DIM:]))
        found.append([float(terms[name]) for name in DISTANCES])
    return [float(value) for value in np.mean(found, axis=0)]


def _speech(options: argparse.Namespace) -> None:
    unchanged, tuned = load_base(options.base), load_base(options.run / "base")
    judges = Judges(load_dataset(options.data, lang="a", seed=0, vocab=tuned.kmodel.vocab))
    (voice,) = (options.run / "base" / "voices").glob("*.pt")
    packs = {voice.stem: VoicePack.load(voice), STOCK: unchanged.stock_voices[STOCK]}
    print(f"| voice | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    held_out = [(read_audio(row.path), row.text) for row in read_rows([options.heldout])]
    print(judges.row("held-out recordings", held_out), flush=True)
    for name, pack in packs.items():
        for kind, base in (("unchanged", unchanged), ("fine-tuned", tuned)):
            print(judges.row(f"{name}, {kind}", speak(base, pack)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
