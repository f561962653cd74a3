"""The plain recipe, a baseline: mel error of free-running synthesis, truncated to the shorter of the two signals.

The phones of the two signals are not aligned, no gradient reaches the durations, and nothing keeps the voice near the
stock voices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from voiceclone.audio.features import LOG_STD
from voiceclone.models.frozen_kokoro import STYLE_DIM, alignment_matrix, whole_durations
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.objective import Crop, Objective
from voiceclone.projection.targets import AlignedTarget

WEIGHTS = LossWeights(
    mel_mse=1.0, mel=0.0, speaker=0.0, phones=0.0, duration=0.0, rate=0.0, f0=0.0, f0_level=0.0, f0_spread=0.0,
    energy=0.0,
)  # fmt: skip


class PlainObjective(Objective):
    """One term: mean squared log-mel error of whole clips with free-running synthesis."""

    whole_clips = True

    def terms(self, base_vector: Tensor, crops: Sequence[Crop]) -> dict[str, Tensor]:
        """``mel_mse`` of ``base_vector`` ``(1, 256)``: the mean over the crops' clips."""
        rows = self.rows(base_vector, crops)
        errors = [self._whole_clip(row, self.targets[crop.clip]) for row, crop in zip(rows, crops)]
        return {"mel_mse": torch.stack(errors).mean()}

    def _whole_clip(self, row: Tensor, target: AlignedTarget) -> Tensor:
        prosodic = row[:, STYLE_DIM:]
        soft, states = self.kokoro.durations(target.text, prosodic)
        alignment = alignment_matrix(whole_durations(soft))
        f0, energy = self.kokoro.prosody(states, alignment, prosodic)
        spoken = self.kokoro.decode(target.text.acoustic_text @ alignment, f0, energy, row[:, :STYLE_DIM])
        ours, theirs = self.log_mel(spoken)[0], target.log_mel
        frames = min(ours.shape[1], theirs.shape[1])
        return functional.mse_loss(ours[:, :frames], theirs[:, :frames]) * LOG_STD**2
