#!/usr/bin/env python3
"""Train and measure the phone classifier of the package, which predicts the phone of each frame of 25 ms.

    python scripts/train_phone_classifier.py --teacher WORK/speech --recordings DATASET [DATASET ...]

TEACHER is speech that scripts/speak_with_teacher.py wrote: its durations are the labels. The recordings are labelled by
forced alignment with a classifier that was trained on the teacher's speech alone, and labelled again by the next one.
Held out from all training: the teacher's last utterances, every tenth recorded speaker, and the speech that the teacher
makes here with its voices of other languages. Weights, provenance and measures go to OUT as
``phone_classifier.safetensors`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.errors import VoicecloneError

if TYPE_CHECKING:
    from voiceclone.base_training.phone_speech import Labelled

ASSETS = Path(__file__).resolve().parents[1] / "voiceclone" / "nets" / "assets" / "phone_classifier"
KEPT_OUT_EVERY = 10
UNSEEN_SENTENCES = (
    "The quick brown fox jumps over the lazy dog beside the river.",
    "Her measured voice carried through the house while they were choosing a garage.",
    "Just before three, the judge asked whether both boys had gone to the theatre.",
)
logger = logging.getLogger("train_phone_classifier")


def main() -> int:
    """Parse, train in two rounds, measure, write; the exit code."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    import torch

    from voiceclone.base_training.phone_classifier import (
        LabelledSpeech,
        PhoneClassifierTraining,
        frame_accuracy_percent,
        train_phone_classifier,
        write_phone_classifier,
    )
    from voiceclone.base_training.phone_speech import Labelled, align_recordings, read_recordings, teacher_speech
    from voiceclone.base_training.teacher_corpus import prepare_teacher_corpus
    from voiceclone.data.rows import read_rows
    from voiceclone.nets.phone_classifier import PhoneClassifier
    from voiceclone.text.g2p import Phonemizer

    torch.set_num_threads(options.threads)
    corpus = prepare_teacher_corpus(options.teacher, options.cache)
    last = max(len(corpus.utterances) // 50, 1)
    taught = teacher_speech(corpus, range(len(corpus.utterances) - last))
    kept = teacher_speech(corpus, range(len(corpus.utterances) - last, len(corpus.utterances)))
    recordings = read_recordings(read_rows(options.recordings), Phonemizer("a").phonemes)
    speakers = sorted({recording.speaker for recording in recordings})
    out = set(speakers[::KEPT_OUT_EVERY])
    logger.info("%d teacher utterances, %d recordings of %d speakers", len(taught), len(recordings), len(speakers))
    config = PhoneClassifierTraining(steps=options.steps, seed=options.seed)
    net, heard = PhoneClassifier(), list[Labelled]()
    for turn, steps in enumerate((options.steps // 2, options.steps // 2, options.steps)):
        aligner = net  # the classifier of the round before
        if turn:
            heard = align_recordings((r for r in recordings if r.speaker not in out), aligner)
        torch.manual_seed(config.seed)
        net = PhoneClassifier()
        train = PhoneClassifierTraining(steps=steps, seed=options.seed)
        train_phone_classifier(LabelledSpeech(taught, heard), train, net)
        measured = {
            "teacher, held-out voices and sentences": frame_accuracy_percent(net, kept),
            # Labels by the classifier of the round before, so that only the first one is measured by its own alignment.
            "recordings, kept-out speakers": frame_accuracy_percent(
                net, align_recordings((r for r in recordings if r.speaker in out), aligner if turn else net)
            ),
        }
        logger.info("%d steps: %s", steps, measured)
    measured["teacher, stock voices of other languages"] = frame_accuracy_percent(net, _unseen_voices())
    print(json.dumps(write_phone_classifier(net, options.out, config, measured)["measured"], indent=2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--teacher", type=Path, required=True, help="folder that scripts/speak_with_teacher.py wrote")
    parser.add_argument("--recordings", type=Path, nargs="+", required=True, help="datasets with metadata.jsonl")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the features of the teacher's speech")
    parser.add_argument("--out", type=Path, default=ASSETS)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _unseen_voices() -> list[Labelled]:
    """English spoken by the real Kokoro's voices of other languages."""
    import torch

    from voiceclone.audio.features import LogMel
    from voiceclone.base_training.phone_speech import labelled
    from voiceclone.bases.base import load_base
    from voiceclone.models.frozen_kokoro import FrozenKokoro
    from voiceclone.text.g2p import Phonemizer

    base, log_mel = load_base("kokoro"), LogMel()
    kokoro, phonemize = FrozenKokoro(base.kmodel, torch.device("cpu")), Phonemizer("a").phonemes
    spoken = []
    for name in base.stock_voices:
        if name[0] in "ab":
            continue
        for sentence in UNSEEN_SENTENCES:
            text = kokoro.text(phonemize(sentence))
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                said = kokoro.utter(text, base.stock_voices[name].row(text.phoneme_count))
            spoken.append(labelled(said.audio.numpy(), text.symbols, said.durations, log_mel, name))
    return spoken


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
