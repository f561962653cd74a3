"""Training of the text aligner: first on the durations of the data, then jointly with the model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.alignment.forward_sum import best_path
from voiceclone.base_training.batch import StyledBatch
from voiceclone.base_training.batches import BatchMaker
from voiceclone.distributed import ProcessGroup
from voiceclone.models.styletts2.text_aligner import Aligned, TextAligner

logger = logging.getLogger(__name__)
MONOTONIC = 10.0
"""Weight of the distance between the soft alignment and its best monotonic path."""
PRETRAINING_RATE = 2e-3
PRETRAINING_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class CropAlignment:
    """The alignment of a batch's crops."""

    soft: Tensor = field(repr=False)
    """``(B, N, C)``, sums to 1 over the tokens; differentiable."""
    batch: StyledBatch
    """The batch with the durations and frame tokens of the best path."""
    terms: dict[str, Tensor] = field(repr=False)
    """``mono``, an unweighted mean over the rows, and ``s2s``, one over the tokens."""


class AlignerTraining:
    """Trains a text aligner and aligns batches with it."""

    def __init__(self, batches: BatchMaker, aligner: TextAligner, process_group: ProcessGroup) -> None:
        self.batches, self.aligner, self.process_group = batches, aligner, process_group

    def pretrain(self, steps: int, seed: int) -> None:
        """Train on the durations of the data. Every process computes the same, and takes the main one's result."""
        optimizer = torch.optim.Adam(self.aligner.parameters(), lr=PRETRAINING_RATE)
        loss = torch.zeros(())
        for step in range(steps):
            picked = self.batches.similar_lengths(np.random.default_rng([seed, step, 4]), PRETRAINING_BATCH)
            tokens, lengths = (value.to(self.process_group.device) for value in self.batches.tokens(picked))
            mel, frames = self._mels(picked)
            aligned = self.aligner(mel, frames, tokens, lengths)
            loss = frame_loss(aligned, self._frame_tokens(picked, mel.shape[2] // 2)) + sequence_loss(
                aligned, tokens, lengths
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.aligner.parameters(), 1.0)
            optimizer.step()
        if steps:
            logger.info("the text aligner learned the durations of the data: loss %.2f", float(loss))
        optimizer.zero_grad(set_to_none=True)
        self.process_group.broadcast_state(self.aligner)  # on GPUs the results differ by rounding

    def align(self, batch: StyledBatch) -> CropAlignment:
        """Align the whole utterances of a batch."""
        mel, frames = self._mels(batch.picked)
        aligned = self.aligner(mel, frames, batch.tokens, batch.lengths)
        soft = aligned.soft
        durations = hard_durations(soft, batch.lengths, frames)
        inside = batch.mask[:, :, None] & (torch.arange(soft.shape[2], device=soft.device) < frames[:, None])[:, None]
        hard = torch.zeros_like(soft)
        crop = batch.frame_tokens.shape[1]
        crops, pieces = [], []
        for row, start in enumerate(batch.starts.tolist()):
            spoken = torch.repeat_interleave(torch.arange(len(durations[row]), device=soft.device), durations[row])
            hard[row, spoken, torch.arange(len(spoken), device=soft.device)] = 1.0
            crops.append(spoken[start : start + crop])
            pieces.append(soft[row, :, start : start + crop])
        terms = {
            "mono": MONOTONIC * (soft - hard).abs()[inside].mean(),
            "s2s": sequence_loss(aligned, batch.tokens, batch.lengths),
        }
        found = replace(batch, durations=durations.float(), frame_tokens=torch.stack(crops))
        return CropAlignment(soft=torch.stack(pieces), batch=found, terms=terms)

    def _mels(self, picked: list[int] | tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Mels of whole utterances ``(B, 80, 2 T)``, 0 in the padding, and the frames of each ``(B,)``."""
        corpus = self.batches.corpus
        frames = torch.tensor([int(corpus.frames[index]) for index in picked])
        mel = torch.zeros(len(picked), 80, 2 * int(frames.max()))
        for row, index in enumerate(picked):
            mel[row, :, : 2 * int(frames[row])] = torch.from_numpy(np.ascontiguousarray(corpus.mel(index)))
        return mel.to(self.process_group.device), frames.to(self.process_group.device)

    def _frame_tokens(self, picked: list[int], longest: int) -> Tensor:
        """The token of each frame by the data's durations ``(B, T)``, -1 in the padding."""
        found = torch.full((len(picked), longest), -1)
        for row, index in enumerate(picked):
            durations = torch.tensor(self.batches.corpus.utterances[index].durations)
            found[row, : int(durations.sum())] = torch.repeat_interleave(torch.arange(len(durations)), durations)
        return found.to(self.process_group.device)


def frame_loss(aligned: Aligned, frame_tokens: Tensor) -> Tensor:
    """Cross-entropy of the token in each frame against known ones ``(B, T)``; -1 is ignored."""
    return F.cross_entropy(aligned.energies, frame_tokens, ignore_index=-1)


def sequence_loss(aligned: Aligned, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Cross-entropy of each token, predicted from the audio and the previous tokens.

    Args:
        aligned: output of the text aligner.
        tokens: ids ``(B, N)``, padded.
        lengths: numbers of tokens ``(B,)``.
    """
    mask = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    return F.cross_entropy(aligned.logits[mask], tokens[mask])


@torch.no_grad()
def hard_durations(soft: Tensor, lengths: Tensor, frames: Tensor) -> Tensor:
    """Frames of every token ``(B, N)`` int64 on the best monotonic path of a soft alignment ``(B, N, T)``."""
    found = torch.zeros(soft.shape[:2], dtype=torch.long)
    for row, (tokens, length) in enumerate(zip(lengths.tolist(), frames.tolist(), strict=True)):
        likelihood = soft[row, :tokens, :length].clamp(min=1e-8).log().cpu()
        found[row, :tokens] = best_path(likelihood)
    return found.to(soft.device)
