"""Random batches from a corpus. A step's batch depends only on the seed and the step, so that resuming is exact.

In distributed training, all processes draw the same batch and each takes its own rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import crop_length
from voiceclone.base_training.batch import Batch, Share, StyledBatch
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.distributed import ProcessGroup

# Few different shapes: on the CPU, compiling kernels for a new shape takes longer than the computation.
TOKEN_STEP, FRAME_STEP, STYLE_STEP = 32, 40, 8
STYLE_SIZE = 128
ATTRIBUTES = ("log_rate", "log_f0_mean", "log_f0_spread")
SMOOTHING = (1, 1, 3, 7)
"""Window lengths in frames for smoothing F0 and energy, drawn uniformly: half of the batches are not smoothed."""
STYLETTS2_SMOOTHING = ((1, 3, 7), (1, 3, 7, 15))
"""StyleTTS2's window lengths for F0 and for energy."""


B = TypeVar("B", bound=Batch)


class Batches(ABC, Generic[B]):
    """Draws crops for the decoder and whole utterances for the prosody predictor from a corpus.

    Args:
        training: the utterances to draw from, by group.
        boost: relative frequency of a group; 1 where it is not listed.
        process_group: the processes that share every batch; None for a single process.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        training: dict[str, list[int]],
        *,
        boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        self.corpus, self.config, self.process_group, self.training = corpus, config, process_group, training
        self._groups = sorted(training)
        weights = np.array([(boost or {}).get(group, 1.0) for group in self._groups])
        self._weights = weights / weights.sum()
        self._boosted = weights if boost else None
        kept = [i for indices in training.values() for i in indices]
        self._by_length = np.array(sorted(kept, key=lambda i: corpus.frames[i]))

    @abstractmethod
    def _draw_voices(self, picked: list[int], rng: np.random.Generator) -> list[Any]:
        """Random values for the voice of each row."""

    @abstractmethod
    def _with_voices(self, common: dict[str, Any], picked: list[int], drawn: list[Any]) -> B:
        """Make the batch of these utterances, given its other fields."""

    def acoustic(self, step: int) -> B:
        """Crops of equal length for the decoder."""
        config = self.config
        rng = np.random.default_rng([config.seed, step, 0])
        long = config.long_every > 0 and step % config.long_every == config.long_every - 1
        count, crop = (config.long_batch, 3 * config.crop_frames) if long else (config.crop_batch, config.crop_frames)
        # Only clips that are long enough: one short clip would shorten all crops of the batch.
        crop = crop_length(crop, self.corpus.frames[self._by_length].tolist())
        picked: list[int] = []
        while len(picked) < count:
            group = self._groups[int(rng.choice(len(self._groups), p=self._weights))]
            index = int(rng.choice(self.training[group]))
            if self.corpus.frames[index] >= crop:
                picked.append(index)
        return self._batch(picked, crop, rng, with_audio=True)

    def prosody(self, step: int) -> B:
        """Whole utterances of similar length, with F0 and energy cut to the shortest."""
        rng = np.random.default_rng([self.config.seed, step, 1])
        picked = self.similar_lengths(rng, self.config.prosody_batch)
        crop = min(self.config.prosody_frames, int(self.corpus.frames[picked].min()))
        crop = crop // FRAME_STEP * FRAME_STEP or crop
        return self._batch(picked, crop, rng, with_audio=False, from_start=rng.random() < 0.5)

    def similar_lengths(self, rng: np.random.Generator, count: int) -> list[int]:
        """``count`` training utterances of similar length, or all where there are fewer."""
        count = min(count, len(self._by_length))
        window = min(max(8 * count, len(self._by_length) // 10), len(self._by_length))
        first = int(rng.integers(0, len(self._by_length) - window + 1))
        similar = self._by_length[first : first + window]
        frequencies = self._frequencies(similar)
        weights = None if frequencies is None else frequencies / frequencies.sum()
        picked = rng.choice(similar, size=count, replace=False, p=weights)
        return [int(index) for index in picked]

    def _frequencies(self, indices: np.ndarray) -> np.ndarray | None:
        """Relative frequency of utterances in the predictor's batches; None where all are drawn equally often."""
        if self._boosted is None:
            return None
        return np.array([self._boosted[self._group_of[int(index)]] for index in indices])

    @cached_property
    def _group_of(self) -> dict[int, int]:
        """The number of the group of each training utterance."""
        return {index: number for number, group in enumerate(self._groups) for index in self.training[group]}

    def tokens(self, picked: list[int]) -> tuple[Tensor, Tensor]:
        """Tokens of utterances, int64 ``(B, N)`` and 0-padded, and their numbers ``(B,)``."""
        lengths = [len(self.corpus.utterances[i].tokens) for i in picked]
        tokens = np.zeros((len(picked), -(-max(lengths) // TOKEN_STEP) * TOKEN_STEP), dtype=np.int64)
        for row, index in enumerate(picked):
            tokens[row, : lengths[row]] = self.corpus.utterances[index].tokens
        return torch.from_numpy(tokens), torch.tensor(lengths)

    def fixed(self, indices: list[int], frames: int | None = None) -> B:
        """Whole utterances (or their first ``frames``) with styles from the same speakers; the same at every call.

        They are never divided among processes.
        """
        rng = np.random.default_rng([self.config.seed, 23, *indices])
        crop = int(self.corpus.frames[indices].min())
        crop = crop if frames is None else min(crop, frames)
        return self._batch(indices, crop, rng, with_audio=self.corpus.has_audio, from_start=True, whole=True)

    def _batch(
        self,
        picked: list[int],
        crop: int,
        rng: np.random.Generator,
        *,
        with_audio: bool,
        from_start: bool = False,
        whole: bool = False,
    ) -> B:
        """Draw the random values of all rows, then make the rows of this process."""
        corpus = self.corpus
        starts = [0 if from_start else int(rng.integers(0, corpus.frames[i] - crop + 1)) for i in picked]
        voices = self._draw_voices(picked, rng)
        smoothing = self._smoothing(rng, picked)
        lengths = np.array([len(corpus.utterances[i].tokens) for i in picked])
        rows, part = (
            (range(len(picked)), 1.0) if whole or self.process_group is None else self.process_group.rows(len(picked))
        )
        cut = [(picked[row], starts[row]) for row in rows]
        tokens, durations, frame_tokens = self._spoken(cut, crop, int(lengths.max()))
        audio = [corpus.audio(i, s, crop) for i, s in cut] if with_audio else [np.zeros(0, dtype=np.float32)]
        ours = lengths[list(rows)] if part else np.zeros(1, dtype=np.int64)
        common = {
            "tokens": torch.from_numpy(tokens),
            "lengths": torch.tensor([len(corpus.utterances[i].tokens) for i, _ in cut]),
            "durations": torch.from_numpy(durations),
            "frame_tokens": torch.from_numpy(frame_tokens),
            "starts": torch.tensor([start for _, start in cut]),
            "audio": torch.from_numpy(np.stack(audio)),
            "f0": torch.from_numpy(np.stack([corpus.f0(i, s, crop) for i, s in cut])),
            "energy": torch.from_numpy(np.stack([corpus.energy(i, s, crop) for i, s in cut])),
            "smoothing": smoothing,
            "picked": tuple(i for i, _ in cut),
            "share": Share(
                rows=part,
                tokens=float(ours.sum() / lengths.sum()),
                inner=float((ours - 2).clip(0).sum() / (lengths - 2).sum()),
            ),
        }
        return self._with_voices(common, [i for i, _ in cut], [voices[row] for row in rows])

    def _smoothing(self, rng: np.random.Generator, picked: list[int]) -> tuple[int, int]:
        """Window lengths in frames for smoothing F0 and energy of the utterances ``picked``."""
        if self.config.styletts2.augmentation == "mild":
            f0, energy = rng.choice(SMOOTHING, size=2)
        else:
            f0, energy = (rng.choice(widths) for widths in STYLETTS2_SMOOTHING)
        return int(f0), int(energy)

    def _spoken(self, cut: list[tuple[int, int]], crop: int, longest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens and durations ``(B, N)``, and the token of each frame of the crops ``(B, C)``.

        N is the longest row of the whole batch, so that the padding does not depend on the process.
        """
        width = -(-longest // TOKEN_STEP) * TOKEN_STEP
        tokens = np.zeros((len(cut), width), dtype=np.int64)
        durations = np.zeros((len(cut), width), dtype=np.float32)
        frame_tokens = np.zeros((len(cut), crop), dtype=np.int64)
        for row, (index, start) in enumerate(cut):
            utterance = self.corpus.utterances[index]
            tokens[row, : len(utterance.tokens)] = utterance.tokens
            durations[row, : len(utterance.tokens)] = utterance.durations
            spoken = np.repeat(np.arange(len(utterance.tokens)), utterance.durations)
            frame_tokens[row] = spoken[start : start + crop]
        return tokens, durations, frame_tokens


S = TypeVar("S", bound=StyledBatch)


class SpeakerBatches(Batches[S]):
    """Batches whose styles are computed from recordings of their speakers. Arguments as for :class:`Batches`."""

    def _draw_voices(self, picked: list[int], rng: np.random.Generator) -> list[Any]:
        cuts = self._style_cuts(picked, rng)
        return list(zip(cuts, rng.standard_normal((len(picked), STYLE_SIZE), dtype=np.float32), strict=True))

    def _styled(self, common: dict[str, Any], picked: list[int], drawn: list[Any]) -> StyledBatch:
        """The batch of these utterances with the fields of their styles."""
        speakers = [self.corpus.speakers.index(self.corpus.utterances[i].speaker) for i in picked]
        return StyledBatch(
            **common,
            style_mel=torch.from_numpy(np.stack([self.style_mel(*cut) for cut, _ in drawn])),
            attributes=torch.from_numpy(self._attributes[speakers]),
            speakers=torch.tensor(speakers),
            style_noise=torch.from_numpy(np.stack([noise for _, noise in drawn])),
        )

    def _style_cuts(self, picked: list[int], rng: np.random.Generator) -> list[tuple[int, int, int]]:
        """Utterance, first frame and number of frames of the crops from which the styles are computed.

        They are often taken from another utterance, so that the style does not encode the words, and always for a
        held-out one: synthesis does not have the recording of what it is to say.
        """
        low, high = self.config.style_frames
        sources = []
        for index in picked:
            own = self.training.get(self.corpus.utterances[index].speaker) or [index]
            other = rng.random() < self.config.other_utterance or index not in self._group_of
            sources.append(int(rng.choice(own)) if other else index)
        wanted = STYLE_STEP * int(rng.integers(low // (2 * STYLE_STEP), high // (2 * STYLE_STEP) + 1))
        return [(s, int(rng.integers(0, max(int(self.corpus.frames[s]) - wanted, 0) + 1)), wanted) for s in sources]

    def style_cut(self, index: int, rng: np.random.Generator) -> tuple[int, int, int]:
        """A crop of maximum length from another utterance of the speaker: utterance, first frame, number of frames.

        It is from the same utterance where that is the speaker's only one.
        """
        others = [i for i in self.training.get(self.corpus.utterances[index].speaker, []) if i != index]
        own = others or [index]
        source, wanted = int(rng.choice(own)), self.config.style_frames[1] // 2
        return source, int(rng.integers(0, max(int(self.corpus.frames[source]) - wanted, 0) + 1)), wanted

    def style_mel(self, source: int, start: int, wanted: int) -> np.ndarray:
        """Log-mel ``(80, 2 wanted)``. A shorter utterance is repeated."""
        mel = self.corpus.mel(source, start, min(wanted, int(self.corpus.frames[source])))
        repeats = -(-2 * wanted // mel.shape[1])
        return np.ascontiguousarray(np.tile(mel, (1, repeats))[:, : 2 * wanted])

    @cached_property
    def _attributes(self) -> np.ndarray:
        """``ATTRIBUTES`` of each speaker, standardised: float32 ``(speakers, 3)``."""
        rows = []
        for speaker in self.corpus.speakers:
            indices = self.corpus.by_speaker[speaker]
            symbols = sum(len(self.corpus.utterances[i].phonemes) for i in indices)
            rate = symbols / (0.025 * float(self.corpus.frames[indices].sum()))
            f0 = np.concatenate([self.corpus.f0(i) for i in indices])
            log_f0 = np.log(f0[f0 > 0]) if (f0 > 0).sum() > 10 else np.log(np.array([100.0, 120.0]))
            rows.append(((np.log(rate) - 2.5) / 0.15, (log_f0.mean() - 5.0) / 0.35, (log_f0.std() - 0.2) / 0.08))
        return np.array(rows, dtype=np.float32)


def split_utterances(corpus: Corpus, seed: int) -> tuple[dict[str, list[int]], list[int]]:
    """Training utterances by speaker, and one utterance of every speaker with at least 5 for validation."""
    rng = np.random.default_rng(seed + 17)
    validation: list[int] = []
    training: dict[str, list[int]] = {}
    for speaker, indices in corpus.by_speaker.items():
        held = int(rng.choice(indices)) if len(indices) >= 5 else None
        validation += [] if held is None else [held]
        training[speaker] = [i for i in indices if i != held]
    return training, validation


class BatchMaker(SpeakerBatches[StyledBatch]):
    """Batches of recordings, split by :func:`split_utterances`.

    Args:
        corpus: the training data.
        config: settings.
        speaker_boost: relative frequency of each speaker.
        process_group: the processes that share every batch; None for a single process.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        *,
        speaker_boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        training, self.validation = split_utterances(corpus, config.seed)
        super().__init__(corpus, config, training, boost=speaker_boost, process_group=process_group)

    def _with_voices(self, common: dict[str, Any], picked: list[int], drawn: list[Any]) -> StyledBatch:
        return self._styled(common, picked, drawn)

    def slm(self, step: int) -> StyledBatch:
        """Crops of utterances of similar length, as long as the speech-model adversary's input."""
        settings = self.config.styletts2
        rng = np.random.default_rng([self.config.seed, step, 3])
        picked = self.similar_lengths(rng, settings.slm_batch)
        low, high = settings.slm_frames
        crop = min(int(rng.integers(low, high + 1)), int(self.corpus.frames[picked].min()))
        return self._batch(picked, crop, rng, with_audio=True)
