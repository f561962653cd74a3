"""Errors of the phone boundaries that cloning finds, on synthesised speech with known timing.

    python benchmarks/alignment.py --corpus WORK/corpus/heldout [--only SPEAKER...]

CORPUS is what ``scripts/synthesize_corpus.py`` writes. Each clip is aligned against the base's mean stock voice three
ways: its durations stretched evenly, warped by the mels, and warped by mels and the phone classifier's posteriors.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import load_base
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import PhoneClassifier, load_phone_classifier
from voiceclone.projection.initialization import Initialization, neutral_initialization
from voiceclone.projection.targets import Target, Unusable, aligned, prepare_target
from voiceclone.voice.profile import LengthProfile

FRAME_MS = 25.0
WAYS = ("stretched", "mel", "mel and phones")


def main() -> int:
    """Parse, align, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of speakers")
    parser.add_argument("--clips", type=int, default=14, help="of each speaker, the first ones")
    parser.add_argument("--base", default="nano")
    options = parser.parse_args()
    clips = defaultdict(list)
    try:
        for line in (options.corpus / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            clips[row["speaker"]].append(row)
    except OSError as error:
        parser.error(f"cannot read {error.filename}: {error.strerror}")
    if unknown := set(options.only or []) - set(clips):
        parser.error(f"--only {min(unknown)}: no such speaker; there are {', '.join(sorted(clips))}")
    torch.set_num_threads(1)
    base = load_base(options.base, offline=True)
    kokoro, phone_classifier = FrozenKokoro(base.kmodel, torch.device("cpu")), load_phone_classifier()
    initialization, profile = neutral_initialization(base.stock_voices), LengthProfile.of(base.stock_voices.values())
    print("| speaker | " + " | ".join(f"{way}, ms" for way in WAYS) + " |\n|---|---|---|---|")
    for speaker in options.only or sorted(clips):
        found = []
        for row in clips[speaker][: options.clips]:
            target = prepare_target(
                row["file_name"], row["phonemes"], read_audio(options.corpus / row["file_name"]), kokoro
            )
            if isinstance(target, Unusable):
                print(f"{target.name}: not used: {target.reason}", file=sys.stderr)
            else:
                found.append(errors(row, target, kokoro, initialization, profile, phone_classifier))
        means = np.mean(found, axis=0) if found else np.full(len(WAYS), np.nan)
        print(f"| {speaker} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |", flush=True)
    return 0


def errors(
    row: dict[str, Any],
    target: Target,
    kokoro: FrozenKokoro,
    initialization: Initialization,
    profile: LengthProfile,
    phone_classifier: PhoneClassifier,
) -> list[float]:
    """Mean distance (ms) of the clip's boundaries from the true ones, for each of ``WAYS``."""
    voice, log_mel, true = (
        initialization.rows(profile, kokoro.device)(target.text.phoneme_count),
        LogMel(),
        row["durations"],
    )
    if len(true) != target.text.tokens:
        sys.exit(f"error: {row['file_name']} has {len(true)} durations for {target.text.tokens} tokens")
    found = []
    for way in WAYS:
        torch.manual_seed(0)
        used = phone_classifier if way == WAYS[2] else None
        clip, _ = aligned(target, kokoro, voice, log_mel, phone_classifier=used, warp=way != WAYS[0])
        distance = np.cumsum(clip.alignment.durations.numpy() - np.array(true))[:-1]
        # Trimming shifts a whole clip by an unknown amount: the median distance is subtracted.
        found.append(FRAME_MS * float(np.abs(distance - np.median(distance)).mean()))
    return found


if __name__ == "__main__":
    sys.exit(main())
