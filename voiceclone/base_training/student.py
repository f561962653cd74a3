"""The system of ``train-base --teacher``: a small model that reproduces a teacher's speech.

Style encoders are not used. Each utterance of the teacher comes with the voice vector that produced it, so that teacher
and student share one voice space. The decoder is trained on the teacher's audio given its durations, F0, energy and the
acoustic half. The predictor is trained on the teacher's durations, F0 and energy given the prosodic half.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone.base_training.batch import VectorBatch
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.discriminators import Discriminators
from voiceclone.base_training.distillation import Distillation
from voiceclone.base_training.losses import complex_distance
from voiceclone.base_training.narrowing import initialize_from_teacher
from voiceclone.base_training.recorded import read_weights
from voiceclone.base_training.source_fitting import STEPS, fit_source_path
from voiceclone.base_training.system import StepLosses
from voiceclone.base_training.teacher_corpus import TEACHER
from voiceclone.base_training.vector_batches import TeacherBatches
from voiceclone.base_training.vector_system import VectorSystem
from voiceclone.bases.base import Base
from voiceclone.bases.folder import read_info
from voiceclone.distributed import ProcessGroup, convolution_dtype
from voiceclone.errors import UsageError
from voiceclone.models.checkpoint import load_strictly
from voiceclone.models.nano import NanoKModel, init_for_speech
from voiceclone.models.presets import preset
from voiceclone.tracking.progress import QUIET, Reporter

MEASURED = 6  # utterances on which the importance of the teacher's channels is measured


class StudentSystem(VectorSystem):
    """A model with its own sizes, trained on a teacher's speech.

    Args:
        corpus: the speech.
        config: settings.
        teacher: the base that spoke it, for the distillation.
        process_group: the processes that train together; None for this one alone.
    """

    def __init__(
        self,
        corpus: Corpus,
        config: TrainConfig,
        *,
        teacher: Base | None = None,
        process_group: ProcessGroup | None = None,
    ) -> None:
        process_group = process_group or ProcessGroup(device=torch.device(config.device))
        batches = TeacherBatches(corpus, config, process_group=process_group)
        super().__init__(batches, config, lambda: build_student(config.preset), Discriminators)
        self.teacher = teacher
        self.channels: dict[str, Tensor] = {}
        self.distillation: Distillation | None = None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Two groups where the generator has a learning rate of its own."""
        if self.config.generator_rate == 1.0:
            return super().parameter_groups()
        generator = list(self.trained.decoder.generator.parameters())
        inside = {id(parameter) for parameter in generator}
        others = [parameter for parameter in self.trained.parameters() if id(parameter) not in inside]
        return [{"params": others}, {"params": generator, "relative_rate": self.config.generator_rate}]

    def losses(self, step: int, progress: float) -> StepLosses:
        """During ``front_share`` the decoder's is the distance of activations before the generator alone."""
        if progress >= self.config.front_share or not self.corpus.has_audio:
            return super().losses(step, progress)
        batch = super().acoustic_batch(step, progress)
        terms = batch.share.of({"features": self._distillation().distance_before_generator(batch)})
        if self.config.trains_prosody(step):
            terms.update(self._predicted(step))
        return StepLosses(terms=terms, total=self.objective.total(terms))

    def acoustic_batch(self, step: int, progress: float) -> VectorBatch:
        """As the corpus has it, or during distillation as the teacher decodes it in this step.

        Raises:
            UsageError: the distillation has no teacher.
        """
        batch = super().acoustic_batch(step, progress)
        if progress >= self.config.distillation_share:
            if self.distillation is not None:
                self.distillation.close()
                self.distillation = None
            return batch
        return self._distillation().taught(batch)

    def further_terms(self, audio: Tensor, batch: VectorBatch) -> dict[str, Tensor]:
        """The distance of complex spectra, as with the teacher's F0 its phases are predictable; that of activations."""
        terms = {"complex": complex_distance(audio, batch.audio)}
        if self.distillation is not None:
            terms["features"] = self.distillation.distance()
        return terms

    def _distillation(self) -> Distillation:
        if self.distillation is None:
            if self.teacher is None or not self.channels:
                raise UsageError(
                    "distillation_share, front_share: a student is distilled from the teacher whose channels it starts "
                    "from: give --from-teacher, and no --init"
                )
            device = self.process_group.device
            self.distillation = Distillation(
                self.trained,
                self.teacher.kmodel.to(device),
                self.channels,
                convolutions=convolution_dtype("auto", device),
            )
        return self.distillation

    def initialize_from_teacher(self, teacher: Base, reporter: Reporter | None = None) -> str:
        """Take decoder and text encoder from the channels of the teacher that carry most; where the weights are from.

        For a distillation the source path is fitted to the teacher's.

        Raises:
            UsageError: the teacher's decoder does not fit.
        """
        measured = (self.batches.fixed([index]) for index in self.batches.validation[:MEASURED])
        self.channels = initialize_from_teacher(self.trained, teacher.kmodel, measured)
        if self.config.distils and self.corpus.has_audio:
            teacher.kmodel.to(self.process_group.device)
            task = (reporter or Reporter(verbosity=QUIET)).task("Fitting the source path", total=STEPS, unit="step")
            with self.process_group.seeded(self.config.seed), task:
                fit_source_path(
                    self.trained.decoder.generator, teacher.kmodel.decoder.generator, self.channels, self.corpus,
                    self.batches.training[TEACHER], seed=self.config.seed, steps=STEPS, advance=lambda: task.advance(1),
                )  # fmt: skip
        self.averaged.load_state_dict(self.trained.state_dict())
        return f"weights of {teacher.name}"

    def initialize_from(self, base: Path) -> str:
        """Load the weights of the base in folder ``base``. The discriminators keep their initialization."""
        state = read_weights(base, self.config.preset)
        for model in (self.trained, self.averaged):
            load_strictly(model, state, base / "model.safetensors")
        return read_info(base).get("name", base.name)

    def identity(self) -> dict[str, Any]:
        """The preset. Not the corpus: the teacher may have produced more speech since."""
        return {"speakers": self.corpus.speakers, "preset": self.config.preset}

    def state(self) -> dict[str, Any]:
        """The channels of the teacher that the student started from."""
        return {"channels": self.channels}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`; older checkpoints have none."""
        self.channels = state.get("channels", {})


def build_student(preset_name: str) -> NanoKModel:
    """A model of a preset with random weights, and output layers initialized to the range of speech."""
    model = NanoKModel(preset(preset_name)[0])
    init_for_speech(model)
    return model
