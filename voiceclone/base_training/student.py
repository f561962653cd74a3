"""The system of ``train-base --teacher``: a small model that reproduces a teacher's speech.

Style encoders are not used. Each utterance of the teacher comes with the voice vector that produced it, so that teacher
and student share one voice space. The decoder is trained on the teacher's audio given its durations, F0, energy and the
acoustic half. The predictor is trained on the teacher's durations, F0 and energy given the prosodic half.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, Utterance
from voiceclone.base_training.discriminators import Discriminators
from voiceclone.base_training.losses import complex_distance
from voiceclone.base_training.measures import speak_phonemes
from voiceclone.base_training.narrowing import initialize_from_teacher
from voiceclone.base_training.objective import SpeechObjective
from voiceclone.base_training.recorded import read_weights
from voiceclone.base_training.speed import speed_up_vocoder
from voiceclone.base_training.system import StepLosses, System
from voiceclone.base_training.vector_batches import VectorBatches
from voiceclone.bases.base import Base
from voiceclone.bases.folder import read_info
from voiceclone.distributed import ProcessGroup
from voiceclone.models.checkpoint import load_strictly
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.nano import NanoKModel, init_for_speech
from voiceclone.models.presets import preset
from voiceclone.voice.pack import ROWS, VOICE_DIM

MEASURED = 6  # utterances on which the importance of the teacher's channels is measured


class StudentSystem(System):
    """A model with its own sizes, trained on a teacher's speech."""

    trained: NanoKModel
    averaged: NanoKModel

    def __init__(self, corpus: Corpus, config: TrainConfig, *, process_group: ProcessGroup | None = None) -> None:
        super().__init__(corpus, config, process_group)
        self.batches = VectorBatches(corpus, config, process_group=self.process_group)
        self._build(lambda: build_student(config.preset), Discriminators)
        self.objective = SpeechObjective(self.trained, self.discriminators, config, self.process_group)

    def losses(self, step: int, progress: float) -> StepLosses:
        """The decoder in every step, the predictor in every ``prosody_every``-th."""
        adversarial = self.takes_discriminators(step, progress)
        batch = self.batches.acoustic(step).to(self.process_group.device)
        terms, audio = self.objective.decoded(batch, batch.vectors[:, :STYLE_DIM], adversarial=adversarial)
        terms["complex"] = complex_distance(audio, batch.audio)
        terms = batch.share.of(terms)
        if step % self.config.prosody_every == 0:
            spoken = self.batches.prosody(step).to(self.process_group.device)
            terms.update(spoken.share.of(self.objective.predicted(spoken, spoken.vectors[:, STYLE_DIM:])))
        discriminate = (lambda: self.objective.discriminate(batch, audio) * batch.share.rows) if adversarial else None
        return StepLosses(terms=terms, total=self.objective.total(terms), discriminate=discriminate)

    def initialize_from_teacher(self, teacher: Base) -> str:
        """Take decoder and text encoder from the channels of the teacher that carry most; where the weights are from.

        Raises:
            UsageError: the teacher's decoder does not fit.
        """
        measured = (self.batches.fixed([index]) for index in self.batches.validation[:MEASURED])
        initialize_from_teacher(self.trained, teacher.kmodel, measured)
        self.averaged.load_state_dict(self.trained.state_dict())
        return f"weights of {teacher.name}"

    def initialize_from(self, base: Path) -> str:
        """Load the weights of the base in folder ``base``. The discriminators keep their initialization."""
        state = read_weights(base, self.config.preset)
        for model in (self.trained, self.averaged):
            load_strictly(model, state, base / "model.safetensors")
        return read_info(base).get("name", base.name)

    def speed_up(self) -> None:
        """Compile the vocoder and run it in bfloat16, as configured."""
        speed_up_vocoder(self.trained, compiled=self.config.compile, bfloat16=self.config.bfloat16, lengths_vary=True)

    def identity(self) -> dict[str, Any]:
        """The preset. Not the corpus: the teacher may have produced more speech since."""
        return {"speakers": self.corpus.speakers, "preset": self.config.preset}

    @torch.no_grad()
    def preview(self) -> tuple[Utterance, np.ndarray, np.ndarray] | None:
        """The first validation utterance, synthesised with its vector and predicted prosody."""
        if not self.batches.validation:
            return None
        index = self.batches.validation[0]
        utterance, vector = self.corpus.utterances[index], torch.from_numpy(self.corpus.vector(index))
        voice = vector.expand(ROWS, VOICE_DIM)[:, None]
        return utterance, self.corpus.audio(index), speak_phonemes(self.averaged, utterance.phonemes, voice)[0]


def build_student(preset_name: str) -> NanoKModel:
    """A model of a preset with random weights, and output layers initialized to the range of speech."""
    model = NanoKModel(preset(preset_name)[0])
    init_for_speech(model)
    return model
