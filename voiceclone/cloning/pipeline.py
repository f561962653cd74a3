"""The three stages of a clone in order: styles, projection, voice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.io import read_audio
from voiceclone.bases.base import NANO, load_base
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.context import Run, uses_speaker, uses_student
from voiceclone.cloning.outputs import finish_voice
from voiceclone.data.dataset import Clip
from voiceclone.distributed import convolution_dtype
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import load_phone_classifier
from voiceclone.nets.resemblyzer import ResemblyzerEncoder, load_resemblyzer
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.likeness import ReferenceLevels, measure_reference_levels
from voiceclone.projection.objective import Speaker
from voiceclone.projection.parts import parse_parts
from voiceclone.projection.preparation import Material, classifier_is_reliable, first_state, prepare_targets, usable
from voiceclone.projection.recipes import projection_config
from voiceclone.projection.state import TrainingState, save_checkpoint
from voiceclone.projection.stock_table import find_table
from voiceclone.projection.student_training import begin_on_base, student_trainer
from voiceclone.projection.targets import Target
from voiceclone.projection.trainer import ProjectionTrainer
from voiceclone.style.extraction import StyleVectors, extract_styles, largest_style
from voiceclone.tracking.observer import TrackingObserver
from voiceclone.tracking.trackers import open_trackers
from voiceclone.voice.profile import REFERENCE_ROW
from voiceclone.voice.space import KOKORO_SPACE

PROJECTION = "Projection"  # name of the training's task


def three_stages(run: Run, state: TrainingState | None) -> None:
    """Run the three stages, or what is left of them after ``state``.

    Raises:
        VoicecloneError: a stage failed; finished epochs are kept.
    """
    started = time.perf_counter()
    styles = style_stage(run)
    trainer = prepare_training(run, styles, state)
    with open_trackers(
        tensorboard=run.config.tensorboard,
        wandb=run.config.wandb,
        wandb_project=run.config.wandb_project,
        run_name=run.config.name,
        folder=run.folder.path,
        config=run.config.as_dict(),
        offline=run.config.offline,
        resume_step=trainer.state.step,
        warn=run.reporter.warn,
    ) as trackers:
        reference_levels = _reference_levels(run, trainer)
        _projection_stage(run, trainer, TrackingObserver(trackers, reporter=run.reporter), reference_levels)
        finish_voice(run, trainer, styles, reference_levels, seconds=time.perf_counter() - started)
        trackers.artifact(run.config.name, run.folder.voice, {"base": run.base.name})
        for notice in trackers.notices:
            run.reporter.info(notice)
    if run.base.voice_space != KOKORO_SPACE:
        run.reporter.warn(f"the voice belongs to {run.base.title}: stock Kokoro-82M cannot speak with it")
    run.reporter.info(f"voice: {run.folder.voice}")


def style_stage(run: Run) -> StyleVectors:
    """Stage 1: the mean style of the training clips (at most ``max_style_samples``)."""
    clips = _sample(run.dataset.train, run.config.max_style_samples, run.config.seed)
    with run.reporter.task("Style extraction", total=len(clips), unit="clip") as task:
        return extract_styles(
            [(clip.name, partial(read_audio, clip.path)) for clip in clips],
            run.base.style_encoders,
            device=run.device,
            largest=largest_style(
                [float(pack.tensor[REFERENCE_ROW].norm()) for pack in run.base.stock_voices.values()]
            ),
            advance=lambda: task.advance(1),
        )


def prepare_training(run: Run, styles: StyleVectors, state: TrainingState | None) -> ProjectionTrainer:
    """Measure the clips, then determine level, initialization and alignment or take them from ``state``."""
    config = _projection_config(run.config)
    convolutions = convolution_dtype(run.config.precision, run.device)
    kokoro = FrozenKokoro(run.base.kmodel, run.device, convolutions=convolutions)
    train, validation = _measured_clips(run, kokoro, config)
    speaker = _speaker(run, config, train, run.device)
    phone_classifier = None if config.plain or "phones" in config.without else load_phone_classifier(run.device)
    student = _student(run) if state is None or state.epoch < config.student_epochs else None
    if state is None:
        if student is not None:
            run.reporter.detail(f"alignment and initialization on {NANO}")
        material = Material(
            kokoro=kokoro,
            student=student,
            stock=run.base.stock_voices,
            profile=run.profile,
            train=train,
            validation=validation,
            speaker=speaker,
            phone_classifier=phone_classifier,
            table=None if config.plain else find_table(run.base),
            zero_shot=None if config.plain else _zero_shot(run, styles, speaker, train),
        )
        state = first_state(config, material, reporter=run.reporter)
        run.reporter.info(f"initialization: timbre of {state.timbre_from}, prosody of {state.prosody_from}")
    else:
        run.reporter.info(f"resuming after epoch {state.epoch} of {config.epochs}{' on nano' if student else ''}")
    kept = [target for target in train if f"train/{target.name}" not in state.dropped]
    if speaker is not None and len(kept) < len(train):
        speaker = replace(speaker, vector=_speaker_vector(speaker.encoder, kept, run.device))
    trainer = ProjectionTrainer(
        config,
        state,
        style=styles.mean,
        kokoro=kokoro,
        profile=run.profile,
        train=usable(train, "train", state),
        validation=usable(validation, "validation", state),
        speaker=speaker,
        phone_classifier=phone_classifier if classifier_is_reliable(state.phone_accuracy) else None,
        student=student if config.student_epochs else None,
    )
    if notice := trainer.crop_notice():
        run.reporter.warn(notice)
    return trainer


def _zero_shot(run: Run, styles: StyleVectors, speaker: Speaker | None, train: Sequence[Target]) -> Tensor | None:
    """The voice ``(1, 256)`` estimated without training; None for a base whose styles are no voices."""
    if not run.base.styles_are_voices:
        return None
    if run.base.voice_regression is None or speaker is None:
        return styles.mean
    tracks = [target.f0.cpu().numpy() for target in train]
    return run.base.voice_regression.voice(styles.mean, speaker.vector, tracks)


def _student(run: Run) -> FrozenKokoro | None:
    """The small model that aligns and initializes for the base: nano, where both share a voice space; else None."""
    if not uses_student(run.config, run.base):
        return None
    return FrozenKokoro(load_base(NANO).kmodel, run.device)


def _reference_levels(run: Run, trainer: ProjectionTrainer) -> ReferenceLevels:
    return measure_reference_levels(trainer, run.base.stock_voices.get(trainer.state.best_stock))


def _projection_stage(
    run: Run, trainer: ProjectionTrainer, observer: TrackingObserver, reference_levels: ReferenceLevels
) -> None:
    """Stage 2, with a checkpoint before the first epoch and after each one; with ``finish`` on the student first."""

    def save(state: TrainingState) -> None:
        path = run.folder.last_checkpoint if state.epoch else run.folder.initial_checkpoint
        save_checkpoint(state, run.identity, path)

    if trainer.state.epoch == 0:
        save(trainer.state)
    if trainer.student is not None:
        first = student_trainer(trainer)
        with observer.watching(first, f"{PROJECTION} on {NANO}", _reference_levels(run, first)):
            first.run(observer, save)
        del first  # with the student, before the base needs its memory
    if 0 < trainer.config.student_epochs == trainer.state.epoch:  # also where a run stopped just there is resumed
        begin_on_base(trainer)
        save(trainer.state)
    with observer.watching(trainer, PROJECTION, reference_levels):
        trainer.run(observer, save)
    observer.finish(trainer)


def _measured_clips(run: Run, kokoro: FrozenKokoro, config: ProjectionConfig) -> tuple[list[Target], list[Target]]:
    """The training and validation clips as targets of stage 2, up to a maximum number of each."""
    splits = (
        _sample(run.dataset.train, run.config.max_training_clips, run.config.seed),
        _sample(run.dataset.validation, config.max_validation_crops, run.config.seed),
    )
    with run.reporter.task("Measuring clips", total=sum(map(len, splits)), unit="clip") as task:
        train, validation = (
            prepare_targets(
                [(clip.name, clip.phonemes, partial(read_audio, clip.path), clip.bandwidth_hz) for clip in clips],
                kokoro,
                advance=lambda: task.advance(1),
                warn=run.reporter.warn,
            )
            for clips in splits
        )
    if not train or not validation:
        split = "validation" if train else "training"
        raise VoicecloneError(
            f"no {split} clip can be used for the projection: add longer clips, see the reasons above"
        )
    return train, validation


def _speaker(run: Run, config: ProjectionConfig, train: Sequence[Target], device: torch.device) -> Speaker | None:
    """The speaker encoder and its mean vector of the training clips; None where the recipe does not use it."""
    encoder = load_resemblyzer(device) if uses_speaker(run.config) else None
    if encoder is None:
        return None
    return Speaker(encoder=encoder, vector=_speaker_vector(encoder, train, device))


def _speaker_vector(encoder: ResemblyzerEncoder, clips: Sequence[Target], device: torch.device) -> Tensor:
    """The unit mean of the clips' speaker vectors, ``(256,)``."""
    vectors = torch.from_numpy(np.stack([encoder.embed(target.audio.cpu().numpy()) for target in clips]))
    return torch.nn.functional.normalize(vectors.mean(0), dim=0).to(device)


def _projection_config(config: CloneConfig) -> ProjectionConfig:
    assert config.lr_projection is not None  # set by ``for_base``
    return projection_config(
        config.recipe,
        parse_parts(config.without),
        epochs=config.epochs,
        finish=config.finish,
        lr=config.lr_projection,
        seed=config.seed,
    )


def _sample(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """At most ``count`` clips, drawn with the seed, in their original order."""
    if len(clips) <= count:
        return list(clips)
    chosen = np.random.default_rng([seed, len(clips)]).choice(len(clips), size=count, replace=False)
    return [clips[index] for index in sorted(chosen)]
