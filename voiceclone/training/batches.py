"""Batches drawn from a corpus; the batch of a step depends on the seed and the step alone, so a resumed run goes on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from voiceclone.training.config import TrainConfig
from voiceclone.training.corpus import Corpus

# Few different shapes: on the CPU every new one costs the building of new kernels, more than the work itself.
TOKEN_STEP, FRAME_STEP, STYLE_STEP = 32, 40, 8
ATTRIBUTES = ("log_rate", "log_f0_mean", "log_f0_spread")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch; N is the longest token count, C the frames of the crop, S the frames of the style crop."""

    tokens: Tensor
    """int64 ``(B, N)``, 0-padded."""
    lengths: Tensor
    """int64 ``(B,)``."""
    durations: Tensor
    """float32 ``(B, N)``, frames of 25 ms, 0 in the padding."""
    frame_tokens: Tensor
    """int64 ``(B, C)``: the token spoken in each frame of the crop."""
    audio: Tensor
    """float32 ``(B, 600 C)``; empty in prosody batches."""
    f0: Tensor
    """float32 ``(B, 2 C)`` in Hz."""
    energy: Tensor
    """float32 ``(B, 2 C)``."""
    style_mel: Tensor
    """float32 ``(B, 80, S)``."""
    attributes: Tensor
    """float32 ``(B, 3)``: log rate, mean and spread of log F0 of the speaker, each scaled to about unit variance."""
    speakers: Tensor
    """int64 ``(B,)``."""

    @property
    def mask(self) -> Tensor:
        """``(B, N)``, True at tokens."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths[:, None]

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class BatchMaker:
    """Draws batches; one utterance of every speaker that has at least 5 is kept back for validation."""

    def __init__(self, corpus: Corpus, config: TrainConfig, *, speaker_boost: dict[str, float] | None = None) -> None:
        self.corpus, self.config = corpus, config
        rng = np.random.default_rng(config.seed + 17)
        self.validation: list[int] = []
        self.training: dict[str, list[int]] = {}
        for speaker, indices in corpus.by_speaker.items():
            held = int(rng.choice(indices)) if len(indices) >= 5 else None
            self.validation += [] if held is None else [held]
            self.training[speaker] = [i for i in indices if i != held]
        boost = speaker_boost or {}
        weights = np.array([boost.get(s, 1.0) for s in corpus.speakers])
        self._speaker_weights = weights / weights.sum()
        kept = [i for indices in self.training.values() for i in indices]
        self._by_length = np.array(sorted(kept, key=lambda i: corpus.frames[i]))
        self._attributes = self._speaker_attributes()

    def acoustic(self, step: int) -> Batch:
        """Crops of equal length for the decoder."""
        config = self.config
        rng = np.random.default_rng([config.seed, step, 0])
        long = config.long_every > 0 and step % config.long_every == config.long_every - 1
        count, crop = (config.long_batch, 3 * config.crop_frames) if long else (config.crop_batch, config.crop_frames)
        picked = []
        while len(picked) < count:
            speaker = rng.choice(len(self.corpus.speakers), p=self._speaker_weights)
            index = int(rng.choice(self.training[self.corpus.speakers[speaker]]))
            if self.corpus.frames[index] >= crop or rng.random() < 0.05:
                picked.append(index)
        crop = min(crop, int(self.corpus.frames[picked].min()))
        return self._batch(picked, crop, rng, with_audio=True)

    def prosody(self, step: int) -> Batch:
        """Whole utterances of about one length, F0 and energy cut to the shortest."""
        rng = np.random.default_rng([self.config.seed, step, 1])
        count = min(self.config.prosody_batch, len(self._by_length))
        window = min(max(8 * count, len(self._by_length) // 10), len(self._by_length))
        first = int(rng.integers(0, len(self._by_length) - window + 1))
        picked = rng.choice(self._by_length[first : first + window], size=count, replace=False)
        crop = min(self.config.prosody_frames, int(self.corpus.frames[picked].min()))
        crop = crop // FRAME_STEP * FRAME_STEP or crop
        return self._batch([int(i) for i in picked], crop, rng, with_audio=False, from_start=rng.random() < 0.5)

    def fixed(self, indices: list[int], frames: int | None = None) -> Batch:
        """Whole utterances (or their first ``frames``) with styles from the same speakers, the same at every call."""
        rng = np.random.default_rng(self.config.seed + 23)
        crop = int(self.corpus.frames[indices].min())
        crop = crop if frames is None else min(crop, frames)
        return self._batch(indices, crop, rng, with_audio=True, from_start=True)

    def _batch(
        self, picked: list[int], crop: int, rng: np.random.Generator, *, with_audio: bool, from_start: bool = False
    ) -> Batch:
        corpus = self.corpus
        utterances = [corpus.utterances[i] for i in picked]
        starts = [0 if from_start else int(rng.integers(0, corpus.frames[i] - crop + 1)) for i in picked]
        width = -(-max(len(u.tokens) for u in utterances) // TOKEN_STEP) * TOKEN_STEP
        tokens = np.zeros((len(picked), width), dtype=np.int64)
        durations = np.zeros((len(picked), width), dtype=np.float32)
        frame_tokens = np.zeros((len(picked), crop), dtype=np.int64)
        for row, (utterance, start) in enumerate(zip(utterances, starts, strict=True)):
            tokens[row, : len(utterance.tokens)] = utterance.tokens
            durations[row, : len(utterance.tokens)] = utterance.durations
            spoken = np.repeat(np.arange(len(utterance.tokens)), utterance.durations)
            frame_tokens[row] = spoken[start : start + crop]
        cut = list(zip(picked, starts, strict=True))
        speakers = [corpus.speakers.index(u.speaker) for u in utterances]
        audio = [corpus.audio(i, s, crop) for i, s in cut] if with_audio else [np.zeros(0, dtype=np.float32)]
        return Batch(
            tokens=torch.from_numpy(tokens),
            lengths=torch.tensor([len(u.tokens) for u in utterances]),
            durations=torch.from_numpy(durations),
            frame_tokens=torch.from_numpy(frame_tokens),
            audio=torch.from_numpy(np.stack(audio)),
            f0=torch.from_numpy(np.stack([corpus.f0(i, s, crop) for i, s in cut])),
            energy=torch.from_numpy(np.stack([corpus.energy(i, s, crop) for i, s in cut])),
            style_mel=torch.from_numpy(self._style_mels(picked, rng)),
            attributes=torch.from_numpy(self._attributes[speakers]),
            speakers=torch.tensor(speakers),
        )

    def _style_mels(self, picked: list[int], rng: np.random.Generator) -> np.ndarray:
        """Crops to take the style from, often out of another utterance: the style must not hold the words."""
        low, high = self.config.style_frames
        sources = []
        for index in picked:
            own = self.training.get(self.corpus.utterances[index].speaker) or [index]
            sources.append(int(rng.choice(own)) if rng.random() < self.config.other_utterance else index)
        wanted = STYLE_STEP * int(rng.integers(low // (2 * STYLE_STEP), high // (2 * STYLE_STEP) + 1))
        mels = []
        for source in sources:
            start = int(rng.integers(0, max(int(self.corpus.frames[source]) - wanted, 0) + 1))
            mel = self.corpus.mel(source, start, min(wanted, int(self.corpus.frames[source])))
            repeats = -(-2 * wanted // mel.shape[1])
            mels.append(np.tile(mel, (1, repeats))[:, : 2 * wanted])
        return np.ascontiguousarray(np.stack(mels))

    def _speaker_attributes(self) -> np.ndarray:
        rows = []
        for speaker in self.corpus.speakers:
            indices = self.corpus.by_speaker[speaker]
            symbols = sum(len(self.corpus.utterances[i].phonemes) for i in indices)
            rate = symbols / (0.025 * float(self.corpus.frames[indices].sum()))
            f0 = np.concatenate([self.corpus.f0(i) for i in indices])
            log_f0 = np.log(f0[f0 > 0]) if (f0 > 0).sum() > 10 else np.log(np.array([100.0, 120.0]))
            rows.append(((np.log(rate) - 2.5) / 0.15, (log_f0.mean() - 5.0) / 0.35, (log_f0.std() - 0.2) / 0.08))
        return np.array(rows, dtype=np.float32)
