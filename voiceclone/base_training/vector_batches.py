"""Batches of utterances with known voice vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.cleaning import bandwidth as measured_bandwidth
from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.base_training.batch import VectorBatch
from voiceclone.base_training.batches import Batches, split_utterances
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.teacher_corpus import TEACHER
from voiceclone.distributed import ProcessGroup


class VectorBatches(Batches[VectorBatch]):
    """Batches of utterances with known voice vectors.

    The decoder gets one whole utterance in each step. As it normalises over time, its output for a crop of the input
    differs from a crop of its output. For Kokoro-82M the multi-resolution log-mel L1 between the two is 0.86 for 0.8 s,
    0.52 for 4 s, and 0.09 for the whole utterance (different noise).

    Args:
        training: the utterances to draw from, by group.
        validation: the others.
        lengths: minimum and maximum length of the decoder's utterances, in frames of 25 ms. The others are left to the
            predictor, unless a group has no others.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        training: dict[str, list[int]],
        validation: list[int],
        *,
        lengths: tuple[int, int],
        boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(corpus, config, training, boost=boost, process_group=process_group)
        self.validation = validation
        fits = (corpus.frames >= lengths[0]) & (corpus.frames <= lengths[1])
        self._spoken_whole, self._frequency = np.zeros(len(fits)), np.zeros(len(fits))
        for group, weight in zip(self._groups, self._weights):
            indices = np.array(training[group])
            suitable = indices[fits[indices]] if fits[indices].any() else indices
            self._spoken_whole[suitable] = weight / len(suitable)
            self._frequency[indices] = weight / len(indices)

    def vector(self, index: int) -> np.ndarray:
        """The voice vector of an utterance, float32 ``(256,)``."""
        return self.corpus.vector(index)

    def is_recorded(self, index: int) -> bool:
        """Whether an utterance is a recording. Else a model synthesised it, from exactly its F0 and energy."""
        return False

    def bandwidth(self, index: int) -> float:
        """The frequency in Hz up to which an utterance holds speech, for band-limited recordings; else infinite."""
        return math.inf

    def acoustic(self, step: int) -> VectorBatch:
        """One whole utterance for the decoder, ``(1, ...)``."""
        rng = np.random.default_rng([self.config.seed, step, 0])
        index = int(rng.choice(len(self._spoken_whole), p=self._spoken_whole))
        return self._batch([index], int(self.corpus.frames[index]), rng, with_audio=True, from_start=True)

    def _frequencies(self, indices: np.ndarray) -> np.ndarray:
        return self._frequency[indices]

    def _smoothing(self, rng: np.random.Generator, picked: list[int]) -> tuple[int, int]:
        """As for recordings, whose tracked F0 is rougher than a predicted one; none for synthesised speech.

        A smoothed F0 shifts the phases of the upper harmonics: the decoder would learn to make them weak.
        """
        drawn = super()._smoothing(rng, picked)
        return drawn if any(self.is_recorded(index) for index in picked) else (1, 1)

    def _draw_voices(self, picked: list[int], rng: np.random.Generator) -> list[Any]:
        return [None] * len(picked)

    def _with_voices(self, common: dict[str, Any], picked: list[int], drawn: list[Any]) -> VectorBatch:
        vectors = np.stack([self.vector(index) for index in picked])
        bandwidth = torch.tensor([self.bandwidth(index) for index in picked])
        return VectorBatch(**common, vectors=torch.from_numpy(vectors), bandwidth=bandwidth)


class TeacherBatches(VectorBatches):
    """Batches of a teacher's speech. The last utterances are held out."""

    LENGTHS = (80, 280)
    HELD = 0.02
    """Fraction of the utterances held out for validation."""

    def __init__(self, corpus: Corpus, config: TrainConfig, *, process_group: ProcessGroup | None = None) -> None:
        count = len(corpus.utterances)
        held = max(round(self.HELD * count), 1) if count > 1 else 0
        training, validation = {TEACHER: list(range(count - held))}, list(range(count - held, count))
        super().__init__(
            corpus, config, training, validation, lengths=self.LENGTHS, process_group=process_group
        )  # fmt: skip


class VoiceBatches(VectorBatches):
    """Batches of recordings whose speakers have a known voice, and of a base's own speech with its stock voices.

    The energy of recordings is shifted to the base's convention: a base predicts another value than the log energy that
    is measured in its own speech (Kokoro-82M: 0.4 to 0.5 more).

    Args:
        voices: voice packs ``(510, 1, 256)`` by speaker. Speakers without one have vectors in the corpus.
        energy_offset: added to the energy of the recordings.
    """

    LENGTHS = (40, 400)

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        voices: Mapping[str, Tensor],
        *,
        energy_offset: float = 0.0,
        boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        training, validation = split_utterances(corpus, config.seed)
        self.voices = dict(voices)
        super().__init__(
            corpus, config, training, [i for i in validation if corpus.utterances[i].speaker in voices],
            lengths=self.LENGTHS, boost=boost, process_group=process_group,
        )  # fmt: skip
        self._bandwidths: dict[int, float] = {}
        self._offset = np.array(
            [energy_offset if u.speaker in voices else 0.0 for u in corpus.utterances], dtype=np.float32
        )

    def is_recorded(self, index: int) -> bool:
        """All utterances of speakers with a voice."""
        return self.corpus.utterances[index].speaker in self.voices

    def vector(self, index: int) -> np.ndarray:
        """The row of the speaker's voice for the number of phonemes, or the corpus' own vector; ``(256,)``."""
        utterance = self.corpus.utterances[index]
        if not self.is_recorded(index):
            return super().vector(index)
        return self.voices[utterance.speaker][len(utterance.phonemes) - 1, 0].numpy()

    def bandwidth(self, index: int) -> float:
        """As measured in a recording; infinite for the base's own speech."""
        if not self.is_recorded(index):
            return math.inf
        if index not in self._bandwidths:
            self._bandwidths[index] = measured_bandwidth(self.corpus.audio(index), SAMPLE_RATE)
        return self._bandwidths[index]

    def _with_voices(self, common: dict[str, Any], picked: list[int], drawn: list[Any]) -> VectorBatch:
        offset = torch.from_numpy(self._offset[picked])[:, None]
        return super()._with_voices({**common, "energy": common["energy"] + offset}, picked, drawn)
