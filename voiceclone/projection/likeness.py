"""Is the clone better than a stock voice yet? What an epoch's figures have to be held against, measured once a run."""

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
class Yardstick:
    """Levels on the held-out clips that do not change during a training.

    ``likeness`` is the cosine to the speaker's training clips by the encoder that the training itself uses, so it
    flatters the clone; without an encoder the held-out loss has to do.
    """

    measure: str
    """:data:`LIKENESS`, of which more is better, or :data:`LOSS`, of which less is."""
    levels: Mapping[str, float]
    """Of the best stock voice, the initialization and, of a likeness, the recordings, as far as they are known."""
    stock_name: str = ""
    encoder: str = ""

    def of(self, validation: Mapping[str, float]) -> float | None:
        """A voice's value in this measure, from its terms on the held-out clips; None where it was not measured."""
        value = validation.get("loss" if self.measure == LOSS else "speaker")
        if value is None or not math.isfinite(value):
            return None
        return float(value) if self.measure == LOSS else 1.0 - float(value)

    def as_json(self, clone: Mapping[str, float]) -> dict[str, Any]:
        """With the terms of the finished voice on the held-out clips."""
        values = {**self.levels, CLONE: self.of(clone)}
        return {
            "measure": self.measure,
            "encoder": self.encoder,
            "stock_name": self.stock_name,
            **{name: round(value, 4) for name, value in values.items() if value is not None},
        }


@torch.no_grad()
def measure_yardstick(trainer: ProjectionTrainer, stock: VoicePack | None) -> Yardstick:
    """Measure what the clone will be compared with; it takes as long as the validation of two epochs.

    Args:
        stock: the stock voice nearest to the speaker, where the base has any.
    """
    has_encoder = trainer.speaker is not None
    measure = LIKENESS if has_encoder else LOSS
    bare = Yardstick(measure=measure, levels={})
    voices = {INITIALIZATION: trainer.state.anchor}
    if stock is not None:
        voices = {STOCK: stock.tensor[REFERENCE_ROW], **voices}
    levels = {name: bare.of(trainer.validate(vector)) for name, vector in voices.items()}
    if trainer.speaker is not None:
        levels[RECORDINGS] = _likeness_of_recordings(trainer)
    return Yardstick(
        measure=measure,
        levels={name: value for name, value in levels.items() if value is not None},
        stock_name="" if stock is None else stock.name,
        encoder=trainer.speaker.encoder.name if trainer.speaker is not None else "",
    )


def _likeness_of_recordings(trainer: ProjectionTrainer) -> float:
    """Of the held-out clips themselves, in the stretches that the voices are measured on."""
    held_out, speaker = trainer.validation, trainer.speaker
    if speaker is None:
        raise ValueError("the likeness of recordings needs a speaker encoder")
    stretches = []
    for crop in held_out.middle_crops():
        start = crop.start * FRAME_SAMPLES
        stretches.append(held_out.targets[crop.clip].audio[start : start + held_out.crop_frames * FRAME_SAMPLES])
    vectors = torch.cat([speaker.encoder(audio[None].to(trainer.kokoro.device)) for audio in stretches])
    return 1.0 - float(speaker_term(vectors, speaker.vector))
