"""First part of a training with ``finish``: the projection is trained on the base's student.

The student has the base's voice space, so that a voice vector of one is a voice of the other, and a step on it takes a
fraction of the time. The base then continues with :meth:`ProjectionTrainer.begin_at`.
"""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.projection.targets import AlignedTarget, read_by
from voiceclone.projection.trainer import ProjectionTrainer

STUDENT = "student"  # name of the voice at the end of this part among the candidates


def student_trainer(trainer: ProjectionTrainer) -> ProjectionTrainer:
    """The trainer of the first part: that of the base with the student as its model.

    State, clips, alignments, crops, weights of the loss and precision are those of ``trainer``. Only the features of
    the texts are computed again, because they are outputs of the model.
    """
    assert trainer.student is not None
    student = FrozenKokoro(trainer.student.kmodel, trainer.student.device, convolutions=trainer.kokoro.convolutions)

    def read(targets: Sequence[AlignedTarget]) -> list[AlignedTarget]:
        return [read_by(target, student) for target in targets]

    return ProjectionTrainer(
        trainer.config,
        trainer.state,
        style=trainer.style,
        kokoro=student,
        profile=trainer.profile,
        train=read(trainer.train_targets),
        validation=read(trainer.validation_targets),
        speaker=trainer.speaker,
        phone_classifier=trainer.phone_classifier,
        on_student=True,
    )


def begin_on_base(trainer: ProjectionTrainer) -> None:
    """Free the student, and continue on the base from the voice of the first part, which stays among the candidates."""
    trainer.student = None
    trainer.begin_at(trainer.state)
    trainer.state.candidates[STUDENT] = trainer.base_vector()
