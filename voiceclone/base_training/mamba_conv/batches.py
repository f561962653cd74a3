"""Batches of crops with their codec tokens and the prosody of every text token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voiceclone.base_training.batch import StyledBatch
from voiceclone.base_training.batches import SpeakerBatches
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.mamba_conv.codes import CodeCache
from voiceclone.distributed import ProcessGroup
from voiceclone.models.mamba_conv.length import frame_ends

HELD_SHARE = 0.1  # fraction of a single speaker's utterances held out: the last ones
LEAST_SPREAD = 0.05  # minimum standard deviation of log F0 and of log energy used for normalisation


@dataclass(frozen=True, kw_only=True)
class CodeBatch(StyledBatch):
    """A batch for the token decoder.

    T is the number of codec frames of the crop, N the largest number of text tokens.
    """

    codes: Tensor
    """int64 ``(B, levels, T)``."""
    code_tokens: Tensor
    """int64 ``(B, T)``: the text token of each codec frame."""
    token_pitch: Tensor
    """float32 ``(B, N)``: see :class:`voiceclone.models.mamba_conv.variance.Prosody`."""
    token_voiced: Tensor
    token_energy: Tensor


def held_out(corpus: Corpus, seed: int) -> list[int]:
    """Held-out utterances: one of every speaker that has at least 5.

    For a single speaker the last ones are held out. Neighbouring utterances of one recording sound alike, so that
    utterances held out at random would give too optimistic results.
    """
    if len(corpus.speakers) == 1:
        count = len(corpus.utterances)
        return list(range(count - max(round(HELD_SHARE * count), 1), count)) if count > 1 else []
    rng = np.random.default_rng(seed + 17)
    picked = [int(rng.choice(indices)) for indices in corpus.by_speaker.values() if len(indices) >= 5]
    return sorted(picked)


def training_groups(corpus: Corpus, held: list[int]) -> dict[str, list[int]]:
    """The training utterances by speaker."""
    kept = set(held)
    groups = {speaker: [i for i in own if i not in kept] for speaker, own in corpus.by_speaker.items()}
    return {speaker: own for speaker, own in groups.items() if own}


class CodeBatches(SpeakerBatches[CodeBatch]):
    """Batches with codec tokens. One utterance of every speaker with at least 5 is held out for validation.

    For a single speaker the last utterances are held out.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        cache: CodeCache,
        *,
        speaker_boost: dict[str, float] | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        self.validation = held_out(corpus, config.seed)
        groups = training_groups(corpus, self.validation)
        super().__init__(corpus, config, groups, boost=speaker_boost, process_group=process_group)
        self.cache, self.rate = cache, 600 / cache.hop
        self._spreads = {speaker: self._mean_and_spread(own) for speaker, own in corpus.by_speaker.items()}

    def _with_voices(self, common: dict[str, Any], picked: list[int], drawn: list[Any]) -> CodeBatch:
        styled = self._styled(common, picked, drawn)
        crop, width = common["frame_tokens"].shape[1], common["tokens"].shape[1]
        count = int(crop * self.rate)
        codes, places = [], []
        prosody = np.zeros((3, len(picked), width), dtype=np.float32)
        for row, (index, start) in enumerate(zip(picked, common["starts"].tolist(), strict=True)):
            first = int(start * self.rate)
            codes.append(self.cache.codes(index, first, count))
            ends = frame_ends(torch.tensor([self.corpus.utterances[index].durations]), self.rate)[0].numpy()
            places.append(np.searchsorted(ends, np.arange(first, first + count), side="right"))
            values = self.token_prosody(index)
            prosody[:, row, : values.shape[1]] = values
        return CodeBatch(
            **vars(styled),
            codes=torch.from_numpy(np.stack(codes)),
            code_tokens=torch.from_numpy(np.stack(places).clip(max=width - 1)),
            token_pitch=torch.from_numpy(prosody[0]),
            token_voiced=torch.from_numpy(prosody[1]),
            token_energy=torch.from_numpy(prosody[2]),
        )

    def token_prosody(self, index: int) -> np.ndarray:
        """Pitch, voicing and energy of the text tokens of an utterance, ``(3, N)``."""
        utterance = self.corpus.utterances[index]
        pitch_mean, pitch_spread, energy_mean, energy_spread = self._spreads[utterance.speaker]
        f0, energy = self.corpus.f0(index), self.corpus.energy(index)
        lengths = 2 * np.array(utterance.durations)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        spoken = (f0 > 0).astype(np.float64)
        voiced = np.add.reduceat(spoken, starts)
        logs = np.add.reduceat(np.log(np.maximum(f0, 1.0)) * spoken, starts)
        is_voiced = voiced > 0.5 * lengths
        pitch = np.where(is_voiced, (logs / np.maximum(voiced, 1) - pitch_mean) / pitch_spread, 0.0)
        level = (np.add.reduceat(energy.astype(np.float64), starts) / lengths - energy_mean) / energy_spread
        return np.stack([pitch, is_voiced, level])

    def _mean_and_spread(self, indices: list[int]) -> tuple[float, float, float, float]:
        """Mean and standard deviation of log F0 and of log energy, over all frames of a speaker."""
        f0 = np.concatenate([self.corpus.f0(i) for i in indices])
        energy = np.concatenate([self.corpus.energy(i) for i in indices])
        logs = np.log(f0[f0 > 0]) if (f0 > 0).any() else np.log(np.array([100.0]))
        spreads = [max(float(values.std()), LEAST_SPREAD) for values in (logs, energy)]
        return float(logs.mean()), spreads[0], float(energy.mean()), spreads[1]
