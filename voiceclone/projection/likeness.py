"""Reference values for a training's similarity curve: best stock voice, initialization and recordings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from voiceclone.audio.features import FRAME_SAMPLES
from voiceclone.projection.losses import speaker_term
from voiceclone.voice.profile import REFERENCE_ROW

if TYPE_CHECKING:
    from voiceclone.projection.trainer import ProjectionTrainer
    from voiceclone.voice.pack import VoicePack

LIKENESS, LOSS = "likeness", "loss"
STOCK, INITIALIZATION, RECORDINGS, CLONE = "best_stock", "initialization", "recordings", "clone"


@dataclass(frozen=True, kw_only=True)
class ReferenceLevels:
    """Reference values on the held-out clips, constant during a training.

    ``likeness`` is the cosine to the speaker's training clips by the same encoder that the training uses as a loss. It
    therefore overestimates the clone's similarity. Without an encoder the metric is the held-out loss.
    """

    measure: str
    """:data:`LIKENESS` (higher is better) or :data:`LOSS` (lower is better)."""
    levels: Mapping[str, float]
    """Values of the best stock voice, of the initialization and, for likeness, of the recordings, where known."""
    stock_name: str = ""
    encoder: str = ""

    def of(self, validation: Mapping[str, float]) -> float | None:
        """A voice's value in this metric, from its terms on the held-out clips; None where it was not measured."""
        value = validation.get("loss" if self.measure == LOSS else "speaker")
        if value is None or not math.isfinite(value):
            return None
        return float(value) if self.measure == LOSS else 1.0 - float(value)

    def as_json(self, clone: Mapping[str, float]) -> dict[str, Any]:
        """JSON-able, with the value of the finished voice. ``clone`` holds its terms on the held-out clips."""
        values = {**self.levels, CLONE: self.of(clone)}
        return {
            "measure": self.measure,
            "encoder": self.encoder,
            "stock_name": self.stock_name,
            **{name: round(value, 4) for name, value in values.items() if value is not None},
        }


@torch.no_grad()
def measure_reference_levels(trainer: ProjectionTrainer, stock: VoicePack | None) -> ReferenceLevels:
    """Measure the reference values. This takes as long as the validation of two epochs.

    Args:
        trainer: of the training.
        stock: the stock voice nearest to the speaker; None where the base has none.
    """
    has_encoder = trainer.speaker is not None
    measure = LIKENESS if has_encoder else LOSS
    bare = ReferenceLevels(measure=measure, levels={})
    voices = {INITIALIZATION: trainer.state.anchor}
    if stock is not None:
        voices = {STOCK: stock.tensor[REFERENCE_ROW], **voices}
    levels = {name: bare.of(trainer.validate(vector)) for name, vector in voices.items()}
    if trainer.speaker is not None:
        levels[RECORDINGS] = _likeness_of_recordings(trainer)
    return ReferenceLevels(
        measure=measure,
        levels={name: value for name, value in levels.items() if value is not None},
        stock_name="" if stock is None else stock.name,
        encoder=trainer.speaker.encoder.name if trainer.speaker is not None else "",
    )


def _likeness_of_recordings(trainer: ProjectionTrainer) -> float:
    """Similarity of the held-out recordings, on the same crops as for the voices."""
    held_out, speaker = trainer.validation, trainer.speaker
    if speaker is None:
        raise ValueError("the likeness of recordings needs a speaker encoder")
    stretches = []
    for crop in held_out.middle_crops():
        start = crop.start * FRAME_SAMPLES
        stretches.append(held_out.targets[crop.clip].audio[start : start + held_out.crop_frames * FRAME_SAMPLES])
    vectors = torch.cat([speaker.encoder(audio[None].to(trainer.kokoro.device)) for audio in stretches])
    return 1.0 - float(speaker_term(vectors, speaker.vector))
