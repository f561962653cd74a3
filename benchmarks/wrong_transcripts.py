#!/usr/bin/env python3
"""How many wrong transcripts cloning detects, and how many right ones it takes for wrong.

    python benchmarks/wrong_transcripts.py SPEECH/NAME/train...
    python benchmarks/wrong_transcripts.py SPEECH/librispeech_251_speakers --alone --every 2 --kinds right another

Each clip is aligned with its transcript and with changed ones, as a clone does it: to the embedded base's speech, with
the phone classifier. A changed clip is judged among the other clips of its folder with their right transcripts, or with
--alone by itself. Compared with the rule that the alignment score gives, which is used without the classifier.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base, load_base
from voiceclone.data.rows import read_rows
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import load_phone_classifier
from voiceclone.projection.initialization import neutral_initialization
from voiceclone.projection.misfits import own_phones, unfitting_clips
from voiceclone.projection.preparation import INITIALIZATION_CROPS
from voiceclone.projection.targets import AlignedTarget, Target, align_all, prepare_target
from voiceclone.text.g2p import Phonemizer
from voiceclone.voice.profile import LengthProfile

KINDS: dict[str, Callable[[list[str], list[str]], list[str]]] = {
    "right": lambda own, other: own,
    "another": lambda own, other: other,
    "second half of another": lambda own, other: own[: len(own) // 2] + other[len(other) // 2 :],
    "a quarter of another": lambda own, other: (
        own[: len(own) // 3] + other[: len(own) // 4] + own[len(own) // 3 + len(own) // 4 :]
    ),
    "last quarter missing": lambda own, other: own[: 3 * len(own) // 4],
    "half of another added": lambda own, other: own + other[: len(other) // 2],
    "one word exchanged": lambda own, other: [*own[: len(own) // 2], "umbrella", *own[len(own) // 2 + 1 :]],
}
"""What a transcript is changed to: from its words and those of the next clip to words."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip's audio ``(T,)`` at 24 kHz and its words."""

    name: str
    audio: np.ndarray
    words: list[str]


class Aligner:
    """Aligns clips with texts as a clone does."""

    def __init__(self, base: Base) -> None:
        self._kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
        profile = LengthProfile.of(base.stock_voices.values())
        self._rows = neutral_initialization(base.stock_voices).rows(profile, self._kokoro.device)
        self._classifier, self._log_mel, self._g2p = load_phone_classifier(), LogMel(), Phonemizer("a")

    def __call__(self, clip: Clip, words: Sequence[str]) -> AlignedTarget | None:
        """The clip with ``words`` as its text; None where they do not fit into its length."""
        target = prepare_target(clip.name, self._g2p.phonemes(" ".join(words)), clip.audio, self._kokoro)
        if not isinstance(target, Target):
            return None
        done, _ = align_all(
            [target], self._kokoro, self._rows, self._log_mel, seed=0, phone_classifier=self._classifier
        )
        return done[0]

    def own_gap(self, clips: Sequence[Clip]) -> float:
        """The phone gap of the base's own speech of the clips' texts, nats."""
        texts = [self._kokoro.text(self._g2p.phonemes(" ".join(clip.words))) for clip in clips]
        return own_phones(self._kokoro, self._classifier, texts, self._rows, 0).gap


def main() -> int:
    """Parse, align, print one row for each kind of transcript."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, nargs="+", help="folders with metadata.jsonl, one speaker each")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--clips", type=int, help="of each folder, the first ones")
    parser.add_argument("--every", type=int, default=1, help="use every n-th row")
    parser.add_argument("--alone", action="store_true", help="judge every clip by itself")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[AlignedTarget | None]] = defaultdict(list)
    by_phones, by_score = defaultdict(list), defaultdict(list)
    try:
        aligner = Aligner(load_base("nano", offline=True))
        for folder in options.data:
            rows = read_rows([folder])[:: options.every][: options.clips]
            clips = [Clip(name=row.path.name, audio=read_audio(row.path), words=row.text.split()) for row in rows]
            own_gap = aligner.own_gap(clips[:INITIALIZATION_CROPS])
            right = [aligner(clip, clip.words) for clip in clips]
            for kind in options.kinds:
                for index, clip in enumerate(clips):
                    other = clips[(index + 1) % len(clips)].words
                    changed = right[index] if kind == "right" else aligner(clip, KINDS[kind](clip.words, other))
                    found[kind].append(changed)
                    if changed is not None:
                        among = [t for i, t in enumerate(right) if t is not None and i != index and not options.alone]
                        by_phones[kind].append(is_dropped(changed, among, own_gap))
                        by_score[kind].append(is_dropped(*without_phones([changed, *among]), own_gap))
            print(f"{folder}: {len(clips)} clips", file=sys.stderr, flush=True)
    except VoicecloneError as error:
        parser.error(str(error))
    print("| transcript | clips | misfit: least, median, highest | dropped, % | dropped by the score, % |")
    print("|---|---|---|---|---|")
    for kind in options.kinds:
        gaps = [gap for target in found[kind] if target is not None and (gap := target.alignment.phone_gap) is not None]
        print(
            f"| {kind} | {len(gaps)} | {min(gaps):.2f}, {np.median(gaps):.2f}, {max(gaps):.2f} "
            f"| {100 * np.mean(by_phones[kind]):.0f} | {100 * np.mean(by_score[kind]):.0f} |"
        )
    return 0


def is_dropped(changed: AlignedTarget, others: Sequence[AlignedTarget], own_gap: float) -> bool:
    """True where the rule drops ``changed`` among ``others``."""
    return "changed/" + changed.name in unfitting_clips({"changed": [changed], "others": others}, own_gap)


def without_phones(targets: Sequence[AlignedTarget]) -> tuple[AlignedTarget, list[AlignedTarget]]:
    """The first target and the others, as they are without a phone classifier's gap."""
    first, *others = [replace(target, alignment=replace(target.alignment, phone_gap=None)) for target in targets]
    return first, others


if __name__ == "__main__":
    sys.exit(main())
