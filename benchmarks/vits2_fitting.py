#!/usr/bin/env python3
"""Fit a voice on a trained VITS2 to each speaker of a dataset, and measure it on further clips of the speaker.

    python benchmarks/vits2_fitting.py --base WORK/main-seed0/base --data corpus/heldout --clips 20 --measured 12

The dataset has phonemes, as ``scripts/synthesize_corpus.py`` writes them. Beside the fitted vector: the row of the
speaker table that the fit starts from (the nearest speaker), and the recordings of the measured clips themselves.
Likeness is the cosine to the mean of the clips that the vector was fitted to.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.audio.io import read_audio
from voiceclone.base_training.measures import resemblyzer_embed, speak_phonemes
from voiceclone.base_training.vits2.fitting import FitClip, VectorFitConfig, fit_clips, fit_vector
from voiceclone.bases.base import load_base
from voiceclone.data.dataset import Clip
from voiceclone.data.rows import Row, read_rows
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_json
from voiceclone.models.vits2.speaking import Vits2KModel, voice_rows
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.nets.xvector import load_speaker_net

HELD_OUT = 4  # every so many of the clips chooses the best vector and trains nothing


def main() -> int:
    """Parse, fit, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="folder of a VITS2 of several speakers")
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=20, help="of each speaker, to fit (default: 20)")
    parser.add_argument("--measured", type=int, default=12, help="further clips of each speaker (default: 12)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        figures = all_speakers(options)
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(figures, indent=2))
    if options.json:
        write_json(options.json, figures)
    return 0


def all_speakers(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of each speaker, and their means."""
    kmodel = load_base(options.base).kmodel
    assert isinstance(kmodel, Vits2KModel)
    by_speaker: dict[str, list[Row]] = {}
    for row in read_rows(options.data):
        by_speaker.setdefault(row.speaker, []).append(row)
    figures: dict[str, Any] = {}
    for speaker, rows in by_speaker.items():
        figures[speaker] = one_speaker(kmodel, rows[: options.clips + options.measured], options)
        logging.info("%s: %s", speaker, figures[speaker])
    conditions = next(iter(figures.values())).keys() - {"loss"}
    figures["mean"] = {
        name: {
            key: round(float(np.mean([figures[s][name][key] for s in by_speaker])), 3)
            for key in next(iter(figures.values()))[name]
        }
        for name in sorted(conditions)
    }
    return figures


def one_speaker(kmodel: Vits2KModel, rows: list[Row], options: argparse.Namespace) -> dict[str, Any]:
    """Fitted vector, nearest speaker and recordings, measured on the rows after the first ``--clips``."""
    fitted, measured = rows[: options.clips], rows[options.clips :]
    train, held_out = split(fit_clips([clip_of(row) for row in fitted], kmodel.model, kmodel.vocab))
    vector, loss = fit_vector(kmodel.model, train, held_out, VectorFitConfig(seed=options.seed))
    assert kmodel.model.speakers is not None
    nearest = kmodel.model.speakers.weight.detach()[int(loss["start_row"])]
    encoders: dict[str, Callable[[np.ndarray], np.ndarray]] = {"xvector": load_speaker_net().embed}
    if (resemblyzer := resemblyzer_embed()) is not None:
        encoders["resemblyzer"] = resemblyzer
    centres = {name: mean_of([embed(read_audio(row.path)) for row in fitted]) for name, embed in encoders.items()}
    sounds = {
        name: [speak_phonemes(kmodel, str(row.phonemes), voice_rows(voice))[0] for row in measured]
        for name, voice in (("fitted", vector), ("nearest speaker", nearest))
    }
    sounds["recordings"] = [read_audio(row.path) for row in measured]
    recognizer, found = load_recognizer(), {}
    for name, audios in sounds.items():
        wrong = [recognizer.error_rate(audio, str(row.phonemes)) for audio, row in zip(audios, measured)]
        errors, phones = np.sum(wrong, axis=0)
        found[name] = {"phone_error_percent": round(float(100 * errors / phones), 2)} | {
            encoder: round(float(np.mean([embed(audio) @ centres[encoder] for audio in audios])), 3)
            for encoder, embed in encoders.items()
        }
    return {**found, "loss": loss}


def clip_of(row: Row) -> Clip:
    """A row as a clip of a dataset."""
    seconds = len(read_audio(row.path)) / 24_000
    return Clip(
        path=row.path, name=row.path.name, text=row.text, phonemes=str(row.phonemes), seconds=seconds, split="train"
    )  # fmt: skip


def split(clips: list[FitClip]) -> tuple[list[FitClip], list[FitClip]]:
    """Clips that train, and those that choose the best vector."""
    return [c for n, c in enumerate(clips) if n % HELD_OUT], clips[::HELD_OUT]


def mean_of(vectors: list[np.ndarray]) -> np.ndarray:
    """Unit vector of a mean."""
    mean = np.mean(vectors, axis=0)
    return mean / np.linalg.norm(mean)


if __name__ == "__main__":
    sys.exit(main())
