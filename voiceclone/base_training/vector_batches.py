"""Batches of a teacher's speech with known voice vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from voiceclone.base_training.batch import VectorBatch
from voiceclone.base_training.batches import Batches
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.distributed import ProcessGroup


class VectorBatches(Batches[VectorBatch]):
    """Batches of a teacher's speech with known voice vectors. The last utterances are held out.

    The decoder gets one whole utterance in each step. As it normalises over time, its output for a crop of the input
    differs from a crop of its output. For Kokoro-82M the multi-resolution log-mel L1 between the two is 0.86 for 0.8 s,
    0.52 for 4 s, and 0.09 for the whole utterance (different noise).
    """

    SHORTEST, LONGEST = 80, 280
    """Frames of 25 ms: utterances beyond are left to the predictor, unless there are no others."""
    HELD = 0.02
    """Fraction of the utterances held out for validation."""

    def __init__(self, corpus: Corpus, config: TrainConfig, *, process_group: ProcessGroup | None = None) -> None:
        count = len(corpus.utterances)
        held = max(round(self.HELD * count), 1) if count > 1 else 0
        self.validation = list(range(count - held, count))
        super().__init__(corpus, config, {"teacher": list(range(count - held))}, process_group=process_group)
        frames = corpus.frames[: count - held]
        self._spoken_whole = np.flatnonzero((frames >= self.SHORTEST) & (frames <= self.LONGEST))
        if not len(self._spoken_whole):
            self._spoken_whole = np.arange(count - held)

    def acoustic(self, step: int) -> VectorBatch:
        """One whole utterance for the decoder, ``(1, ...)``."""
        rng = np.random.default_rng([self.config.seed, step, 0])
        index = int(rng.choice(self._spoken_whole))
        return self._batch([index], int(self.corpus.frames[index]), rng, with_audio=True, from_start=True)

    def _draw_voices(self, picked: list[int], rng: np.random.Generator) -> list[Any]:
        return [None] * len(picked)

    def _with_voices(self, common: dict[str, Any], picked: list[int], drawn: list[Any]) -> VectorBatch:
        vectors = np.stack([self.corpus.vector(index) for index in picked])
        return VectorBatch(**common, vectors=torch.from_numpy(vectors))
