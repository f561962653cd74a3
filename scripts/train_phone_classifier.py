#!/usr/bin/env python3
"""Train and measure the phone classifier of the package, which predicts the phone of each frame.

    python scripts/train_phone_classifier.py --run WORK/run --facts scripts/nano_facts.json

RUN is the folder of a ``train-base`` run: its cached corpora hold the speech with its phonemes and their durations,
training and kept out. Weights, provenance and measures go to OUT as ``phone_classifier.safetensors`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from voiceclone.errors import UsageError, VoicecloneError

ASSETS = Path(__file__).resolve().parents[1] / "voiceclone" / "nets" / "assets" / "phone_classifier"


def main() -> int:
    """Parse, train, measure, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a train-base run with its cache")
    parser.add_argument("--facts", type=Path, required=True, help="the base's facts; names the recorded speakers")
    parser.add_argument("--out", type=Path, default=ASSETS)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    import torch

    from voiceclone.base_training.batches import BatchMaker
    from voiceclone.base_training.config import TrainConfig
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.base_training.phone_classifier import (
        LabelledSpeech,
        PhoneClassifierTraining,
        frame_accuracy_percent,
        train_phone_classifier,
        write_phone_classifier,
    )
    from voiceclone.base_training.recipe import read_facts
    from voiceclone.nets.phone_classifier import PhoneClassifier

    cache = options.run / "cache"
    parts = [sorted(p.parent for p in cache.glob(f"{kind}-*/index.json")) for kind in ("data", "kept-out")]
    if not all(parts):
        raise UsageError(f"{cache}: holds no speech: give --run")
    corpus, kept_out = map(Corpus, parts)
    recorded = frozenset(read_facts(options.facts).recorded_speakers)
    unheard = frozenset(BatchMaker(corpus, TrainConfig(steps=1)).validation)
    config = PhoneClassifierTraining(steps=options.steps, seed=options.seed)
    torch.manual_seed(config.seed)
    net = PhoneClassifier()
    train_phone_classifier(LabelledSpeech(corpus, recorded, unheard), config, net)
    heard = frozenset(range(len(corpus.utterances))) - unheard
    measured = {
        "trained speakers, unheard sentences": frame_accuracy_percent(net, LabelledSpeech(corpus, recorded, heard)),
        "kept-out speakers": frame_accuracy_percent(net, LabelledSpeech(kept_out, recorded)),
    }
    print(json.dumps(write_phone_classifier(net, options.out, config, measured)["measured"], indent=2))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
