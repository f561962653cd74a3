"""Clone a voice: dataset -> styles (stage 1) -> projection (stage 2) -> voice pack and speech (stage 3)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voiceclone.audio.io import read_audio
from voiceclone.config import CloneConfig, dump, merge
from voiceclone.data.dataset import Clip, Dataset, TooLittleData, load_dataset
from voiceclone.devices import choose_device, make_accelerator
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_json, write_text
from voiceclone.models.base import NANO, Base, load_base
from voiceclone.products import finish_voice
from voiceclone.projection.forward import FrozenKokoro
from voiceclone.projection.objective import Speaker
from voiceclone.projection.preparation import Material, first_state, prepare_targets, usable
from voiceclone.projection.prior import load_prior
from voiceclone.projection.recipes import SEED, parse_parts, projection_config
from voiceclone.projection.state import TrainingState, save_state
from voiceclone.projection.targets import Target
from voiceclone.projection.trainer import ProjectionConfig, ProjectionTrainer
from voiceclone.runs import RunFolder
from voiceclone.speaker.resemblyzer import INSTALL, is_installed, load_resemblyzer
from voiceclone.style.extraction import StyleVectors, extract_styles
from voiceclone.tracking.observer import TrackingObserver
from voiceclone.tracking.progress import Reporter
from voiceclone.tracking.trackers import open_trackers
from voiceclone.tracking.wandb import check_project
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import LengthProfile


@dataclass(frozen=True, kw_only=True, eq=False)
class CloneResult:
    """What a clone run made."""

    voice: VoicePack = field(repr=False)
    folder: Path
    report: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What the stages of one run share."""

    config: CloneConfig
    folder: RunFolder
    reporter: Reporter
    base: Base
    device: torch.device
    dataset: Dataset
    profile: LengthProfile
    identity: dict[str, str]
    notices: tuple[str, ...]


def clone(
    data: str | Path | None = None, name: str | None = None, *, reporter: Reporter | None = None, **settings: Any
) -> CloneResult:
    """Clone a voice from a dataset folder; does what the command ``voiceclone clone`` does.

    Args:
        data: dataset folder (``train/metadata.jsonl`` or ``metadata.jsonl`` beside the clips).
        name: name of the voice.
        reporter: where lines and progress go; by default only warnings are written, to standard error.
        settings: fields of :class:`voiceclone.config.CloneConfig`.

    Raises:
        UsageError: a setting or path is wrong.
        VoicecloneError: the work failed.
    """
    flags = {"data": None if data is None else str(data), "name": name, **settings}
    return clone_with(merge(flags, {}), reporter or Reporter(verbosity=-1))


def clone_with(config: CloneConfig, reporter: Reporter) -> CloneResult:
    """Run the three stages with a checked config; see :func:`clone`."""
    with _random_state_kept():
        return _clone(config, reporter)


def _clone(config: CloneConfig, reporter: Reporter) -> CloneResult:
    parse_parts(config.without)
    if config.wandb:
        check_project(config.wandb_project)
    device = choose_device(config.device)
    folder = RunFolder(config.folder)
    folder.check_free(resume=config.resume, overwrite=config.overwrite)
    if config.resume == "auto" and folder.is_finished() and not config.overwrite:
        reporter.info(f"{folder.voice} is finished already: nothing to resume")
        return CloneResult(voice=VoicePack.load(folder.voice), folder=folder.path, report=folder.read_report())
    with folder.locked():
        run = _open_run(config, folder, device, reporter)
        state = folder.resume_state(config.resume, run.identity) if config.resume else None
        if state is None:
            folder.clear()
        write_text(folder.path / "config.json", _resolved_config(run))
        write_json(folder.path / "dataset_report.json", run.dataset.report)
        return _three_stages(run, state)


def _open_run(config: CloneConfig, folder: RunFolder, device: torch.device, reporter: Reporter) -> Run:
    reporter.detail(f"device: {device}")
    base = load_base(config.base, offline=config.offline)
    notices = []
    if base.kind == NANO:
        notices.append(
            "the voice belongs to the nano base, NOT to stock Kokoro-82M: only `--base nano` speaks with it"
            + (" (the real files are not cached and the Hub did not answer)" if config.base == "auto" else "")
        )
    if _uses_speaker(config) and not is_installed():
        notices.append(f"Resemblyzer is not installed: the voice is trained without a speaker encoder ({INSTALL})")
    reporter.info(f"base: {base.name} ({len(base.stock_voices)} stock voices)")
    if not config.consent.strip():
        reporter.info("consent: not stated; --consent TEXT records with the voice who agreed to the cloning, and how")
    dataset = _read_dataset(config, folder, base, reporter)
    notices.extend(dataset.notices)
    for notice in notices:
        reporter.warn(notice)
    decisive = {**config.decisive(), "speaker": _uses_speaker(config) and is_installed()}
    identity = {
        "dataset": dataset.fingerprint,
        "base": base.sha256,
        "settings": hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest(),
    }
    return Run(
        config=config,
        folder=folder,
        reporter=reporter,
        base=base,
        device=device,
        dataset=dataset,
        profile=LengthProfile.flat()
        if "rows" in parse_parts(config.without)
        else LengthProfile.of(base.stock_voices.values()),
        identity=identity,
        notices=tuple(notices),
    )


def _read_dataset(config: CloneConfig, folder: RunFolder, base: Base, reporter: Reporter) -> Dataset:
    """Read and check the clips; the list of what was wrong with them is left even where too few are usable."""
    with reporter.task("Checking clips", unit="clip") as task:
        try:
            return load_dataset(
                Path(config.data),
                lang=config.lang,
                seed=config.seed,
                vocab=base.kmodel.vocab,
                offline=config.offline,
                progress=lambda done, total: task.advance(1),
            )
        except TooLittleData as error:
            write_json(folder.path / "dataset_report.json", error.report)
            raise


def _three_stages(run: Run, state: TrainingState | None) -> CloneResult:
    started = time.perf_counter()
    styles = _style_stage(run)
    trainer = _prepare_training(run, styles, state)
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
        _projection_stage(
            run, trainer, TrackingObserver(trackers, total=run.config.epochs_projection, reporter=run.reporter)
        )
        report = finish_voice(run, trainer, styles, seconds=time.perf_counter() - started)
        trackers.artifact(run.config.name, run.folder.voice, {"base": run.base.name})
        for notice in trackers.notices:
            run.reporter.info(notice)
    if run.base.kind == NANO:
        run.reporter.warn(run.notices[0])
    run.reporter.info(f"voice: {run.folder.voice}")
    return CloneResult(voice=VoicePack.load(run.folder.voice), folder=run.folder.path, report=report)


def _style_stage(run: Run) -> StyleVectors:
    """Stage 1: the style of every training clip (at most ``max_style_samples``), averaged."""
    clips = _sample(run.dataset.train, run.config.max_style_samples, run.config.seed)
    with run.reporter.task("Style extraction", total=len(clips), unit="clip") as task:
        return extract_styles(
            [(clip.name, partial(read_audio, clip.path)) for clip in clips],
            run.base.style_encoders,
            device=run.device,
            advance=lambda: task.advance(1),
        )


def _prepare_training(run: Run, styles: StyleVectors, state: TrainingState | None) -> ProjectionTrainer:
    """Measure the clips; choose level, start and alignment, or take them from ``state``."""
    config = _projection_config(run.config)
    accelerator = make_accelerator(run.device)
    kokoro = FrozenKokoro(run.base.kmodel, accelerator.device)
    train, validation = _measured_clips(run, kokoro, config)
    speaker = _speaker(run, config, train, accelerator.device)
    if state is None:
        material = Material(
            kokoro=kokoro,
            stock=run.base.stock_voices,
            profile=run.profile,
            train=train,
            validation=validation,
            styles=styles.vectors,
            prior=None if "prior" in config.without else load_prior(run.base),
            speaker=speaker,
        )
        state = first_state(config, material, reporter=run.reporter)
        run.reporter.info(f"start: timbre of {state.timbre_from}, prosody of {state.prosody_from}")
    else:
        run.reporter.info(f"resuming after epoch {state.epoch} of {config.epochs}")
    return ProjectionTrainer(
        config,
        state,
        style=styles.mean,
        kokoro=kokoro,
        profile=run.profile,
        train=usable(train, "train", state),
        validation=usable(validation, "validation", state),
        accelerator=accelerator,
        speaker=speaker,
    )


def _projection_config(config: CloneConfig) -> ProjectionConfig:
    return projection_config(
        config.recipe,
        parse_parts(config.without),
        epochs=config.epochs_projection,
        lr=config.lr_projection,
        seed=config.seed,
    )


def _uses_speaker(config: CloneConfig) -> bool:
    return config.recipe != SEED and "speaker" not in parse_parts(config.without)


def _speaker(run: Run, config: ProjectionConfig, train: Sequence[Target], device: torch.device) -> Speaker | None:
    """The speaker encoder and what it hears in the training clips; None where the recipe does without."""
    encoder = load_resemblyzer(device) if _uses_speaker(run.config) else None
    if encoder is None:
        return None
    vectors = torch.from_numpy(np.stack([encoder.embed(target.audio.cpu().numpy()) for target in train]))
    return Speaker(encoder=encoder, vector=torch.nn.functional.normalize(vectors.mean(0), dim=0).to(device))


def _measured_clips(run: Run, kokoro: FrozenKokoro, config: ProjectionConfig) -> tuple[list[Target], list[Target]]:
    """The training and validation clips as targets of stage 2, a bounded number of each."""
    splits = (
        _sample(run.dataset.train, run.config.max_training_clips, run.config.seed),
        _sample(run.dataset.validation, config.max_validation_crops, run.config.seed),
    )
    with run.reporter.task("Measuring clips", total=sum(map(len, splits)), unit="clip") as task:
        train, validation = (
            prepare_targets(
                [(clip.name, clip.phonemes, partial(read_audio, clip.path)) for clip in clips],
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


def _projection_stage(run: Run, trainer: ProjectionTrainer, observer: TrackingObserver) -> None:
    """Stage 2, with a checkpoint before the first epoch and after each one."""

    def save(state: TrainingState, is_best: bool) -> None:
        save_state(state, run.identity, run.folder.last_checkpoint)
        if is_best:
            save_state(state, run.identity, run.folder.best_checkpoint)

    if trainer.state.epoch == 0:
        save(trainer.state, False)
    with observer.watching(done=trainer.state.epoch):
        trainer.run(observer, save)
    observer.finish(trainer)
    if trainer.state.epoch < run.config.epochs_projection:
        run.reporter.info(f"stopped after epoch {trainer.state.epoch}: held-out clips had stopped improving")


def _resolved_config(run: Run) -> str:
    from voiceclone.versions import package_versions

    resolved = json.loads(dump(run.config))
    resolved.update(device=str(run.device), base_name=run.base.name, base_sha256=run.base.sha256)
    return json.dumps({**resolved, "versions": package_versions()}, indent=2) + "\n"


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    """Libraries draw from, and some seed, the global generators: the caller gets them back as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _sample(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """At most ``count`` clips, chosen by the seed, in their own order."""
    if len(clips) <= count:
        return list(clips)
    chosen = np.random.default_rng([seed, len(clips)]).choice(len(clips), size=count, replace=False)
    return [clips[index] for index in sorted(chosen)]
