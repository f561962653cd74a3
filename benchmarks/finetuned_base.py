#!/usr/bin/env python3
"""Compare a fine-tuned base with the unchanged one on recordings of the speaker that trained nothing.

    python benchmarks/finetuned_base.py --base kokoro --run RUN --data DATA --heldout HELDOUT

RUN is the finished fine-tuning of ``--base`` on the dataset DATA. Two tables: the distances of the held-out clips (with
true durations, F0 and energy for the mel; of the predictor's own F0, energy and durations), and the speech of sentences
that are in no dataset, by the judges of real_kokoro.py. The voice of the speaker and a stock voice speak on both bases.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from kokoro.model import KModel
from real_kokoro import COLUMNS, Judges, speak

from voiceclone.audio.io import read_audio
from voiceclone.base_training.base_aligner import aligner_of
from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, prepare_corpus
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.base_training.losses import duration_losses, prosody_losses
from voiceclone.base_training.measures import teacher_forced_mel
from voiceclone.bases.base import load_base
from voiceclone.data.dataset import load_dataset
from voiceclone.data.rows import read_rows
from voiceclone.errors import VoicecloneError
from voiceclone.models.batched_forward import curves, duration_logits, prosody_features
from voiceclone.models.presets import full_config
from voiceclone.style.encoders import StyleEncoders
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
    corpora = {"held out": prepare_corpus(rows, options.run / "heldout", vocab, phonemize=phonemize, align=align)}
    own = options.run / "cache" / "rehearsal"
    if own.is_dir():
        corpora["stock voices"] = Corpus([own])
    encoders = base.encoders()
    print(f"| speech | base | {' | '.join(DISTANCES)} |\n|---|---|{'---|' * len(DISTANCES)}")
    for name, corpus in corpora.items():
        for kind, model in (("unchanged", options.base), ("fine-tuned", options.run / "base")):
            values = _distance(load_base(model).kmodel, encoders, corpus)
            print(f"| {name} | {kind} | {' | '.join(f'{value:.3f}' for value in values)} |", flush=True)


@torch.no_grad()
def _distance(model: KModel, encoders: StyleEncoders, corpus: Corpus) -> list[float]:
    """Values of :data:`DISTANCES` for up to eight utterances of the corpus."""
    batches = BatchMaker(corpus, TrainConfig(steps=1))
    picked = list(range(0, len(corpus.utterances), max(1, len(corpus.utterances) // 8)))[:8]
    found = []
    for index in picked:
        batch = batches.fixed([index])
        style = encoders.prosodic(batch.style_mel.unsqueeze(1))
        features = prosody_features(model, batch.tokens, batch.lengths, style)
        f0, energy = curves(model, features, batch.frame_tokens, style)
        terms = prosody_losses(f0, energy, batch.f0, batch.energy)
        terms.update(duration_losses(duration_logits(model, features, batch.lengths), batch.durations, batch.mask))
        found.append([float(terms[name]) for name in DISTANCES[1:]])
    return [teacher_forced_mel(model, encoders, batches, picked), *np.mean(found, axis=0)]


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
