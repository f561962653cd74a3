"""``voiceclone train-base``: train a base on multi-speaker data, and export it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.train_base_flags import add_arguments
from voiceclone.cli.train_base_settings import check_overwrite, run_config
from voiceclone.errors import UsageError, VoicecloneError

__all__ = ["add_arguments", "run"]

if TYPE_CHECKING:
    from voiceclone.base_training.caches import Preparation
    from voiceclone.base_training.config import TrainConfig
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.base_training.facts import BaseFacts
    from voiceclone.base_training.finetuned_base import FinetunedBase
    from voiceclone.base_training.training_run import TrainingRun
    from voiceclone.distributed import ProcessGroup
    from voiceclone.tracking.progress import Reporter


def run(options: argparse.Namespace) -> int:
    """Prepare the corpus, train the base and the surrogate encoders, export.

    Of several processes only the main one prints, unless another one fails on its own.
    """
    from voiceclone.distributed import ProcessLostError, process_index

    if process_index() == 0:
        return _run(options)
    try:
        return _run(options)
    except (UsageError, ProcessLostError) as error:  # the main process has the same error and prints it
        return error.exit_code
    except VoicecloneError as error:
        raise VoicecloneError(f"process {process_index()}: {error}") from error


def _run(options: argparse.Namespace) -> int:
    from voiceclone.base_training.facts import read_facts
    from voiceclone.cli.clone import verbosity
    from voiceclone.distributed import process_index
    from voiceclone.files import held
    from voiceclone.tracking.progress import QUIET, Reporter

    main = process_index() == 0
    reporter = Reporter(verbosity(options)) if main else Reporter(QUIET, io.StringIO())
    facts = read_facts(options.facts)
    resume = options.resume or options.pack_only
    with held(options.out, instead="--out") if main else contextlib.nullcontext():
        base = _run_alone(options, reporter, facts, resume=resume)
    if main:
        print(f"base: {base}")
    return 0


def _run_alone(options: argparse.Namespace, reporter: Reporter, facts: BaseFacts, *, resume: bool) -> Path:
    """Train and pack in a folder that no other run writes to; the base's folder."""
    from voiceclone.base_training.run_folder import remove_run
    from voiceclone.base_training.systems import find_recipe
    from voiceclone.base_training.trainer import CHECKPOINT
    from voiceclone.base_training.training_run import TrainingRun
    from voiceclone.distributed import open_process_group
    from voiceclone.tracking.progress import log_goes_to

    if (options.out / CHECKPOINT).is_file() and not resume and not options.overwrite:
        raise UsageError(f"{options.out} holds a run: continue with --resume, or start again with --overwrite")
    config = run_config(options)
    check_overwrite(options, config)
    if (config.distils or config.generator_rate != 1.0) and options.teacher is None:
        raise UsageError(
            "distillation_share, front_share, generator_rate: can only be used with --teacher: leave them out of "
            "--settings"
        )
    if not options.pack_only:
        find_recipe(options.system).check(config, options.init)
    boost = _boosts(options.boost)
    _set_threads(options.threads)
    # Before the process group exists: later the main process may write it.
    done = _resumed_step(options) if resume else 0
    with open_process_group(config.device) as process_group, log_goes_to(reporter):
        if options.teacher is not None:
            train, data = _student(options, process_group, reporter)
        elif options.finetune is not None:
            train, data = _finetuned(options, process_group, config, reporter)
        else:
            train, data = _recorded(options, process_group, boost, reporter)
        if options.overwrite and not resume:  # here, so that a run that cannot begin leaves the old one
            process_group.broadcast_result(lambda: remove_run(options.out))
        training = TrainingRun(
            config=config, out=options.out, facts=facts, resume=options.resume, train=not options.pack_only,
            init=options.init, process_group=process_group, **data,
        )  # fmt: skip
        return _train(train, training, options, done, reporter)


def _recorded(
    options: argparse.Namespace, process_group: ProcessGroup, boost: dict[str, float], reporter: Reporter
) -> tuple[Callable[[TrainingRun], Path], dict[str, Any]]:
    """The training on recordings, with its data and settings."""
    from voiceclone.base_training.systems import find_recipe

    recipe = find_recipe(options.system)
    if options.from_teacher is not None:
        raise UsageError("--from-teacher: can only be used with --teacher: leave it out, or give --init BASE")
    for flag, value in (("--voice", options.voice), ("--strength", options.strength)):
        if value is not None:
            raise UsageError(f"{flag}: can only be used with --finetune: leave it out")
    given = {
        "kept_out": options.kept_out,
        "boost": boost,
        "surrogate_share": options.surrogate_share,
        "voices": options.voices,
        "voice_first": options.voice_first,
    }
    given = {name: value for name, value in given.items() if value not in (None, [], {})}
    if wrong := next((name for name in given if name not in recipe.takes), None):
        raise UsageError(f"--{wrong.replace('_', '-')}: cannot be used with --system {options.system}: leave it out")
    if given.get("surrogate_share", 1.0) <= 0:
        raise UsageError(f"--surrogate-share {options.surrogate_share:g}: use a number greater than 0, such as 0.3")
    corpus, kept_out = _corpora(options, process_group, reporter)
    if kept_out is not None:
        given["kept_out"] = kept_out
    return recipe.train_and_pack, {"corpus": corpus, **given}


def _finetuned(
    options: argparse.Namespace, process_group: ProcessGroup, config: TrainConfig, reporter: Reporter
) -> tuple[Callable[[TrainingRun], Path], dict[str, Any]]:
    """What fine-tunes a base, and its data with speech of the base's own to rehearse."""
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.base_training.finetune import train_finetuned
    from voiceclone.base_training.finetuned_base import find_finetuned_base
    from voiceclone.base_training.finetuned_voice import check_fixed_voices
    from voiceclone.base_training.rehearsal import rehearse
    from voiceclone.base_training.systems import STYLETTS2

    if options.system != STYLETTS2:
        raise UsageError(f"--finetune: a base is a Kokoro-format model: leave out --system {options.system}")
    given = {"--init": options.init, "--from-teacher": options.from_teacher, "--kept-out": options.kept_out,
             "--boost": options.boost, "--decoder": options.decoder}  # fmt: skip
    if wrong := next((flag for flag, value in given.items() if value), None):
        raise UsageError(f"{wrong}: cannot be used with --finetune: leave it out")
    if options.strength is not None and not 0 <= options.strength <= 1:
        raise UsageError(f"--strength {options.strength:g}: give a number from 0 (the base) to 1 (the trained model)")
    base = find_finetuned_base(options.finetune)
    settings = config.styletts2
    if base.shares_kokoro_space:
        check_fixed_voices(settings)
    corpus, _ = _corpora(options, process_group, reporter, base)
    if settings.rehearsal_share and settings.rehearsal_utterances:
        count = settings.rehearsal_utterances
        spoken = process_group.broadcast_result(
            lambda: rehearse(corpus, base, options.out, count=count, seed=options.seed, reporter=reporter)
        )
        corpus = corpus if spoken is None else Corpus([*corpus.caches, spoken])
    return train_finetuned, {"corpus": corpus, "voice": options.voice, "strength": options.strength}


def _student(
    options: argparse.Namespace, process_group: ProcessGroup, reporter: Reporter
) -> tuple[Callable[[TrainingRun], Path], dict[str, Any]]:
    """The training of a student, with its data."""
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.base_training.student_base import train_student
    from voiceclone.base_training.systems import STYLETTS2
    from voiceclone.base_training.teacher_corpus import prepare_teacher_corpus
    from voiceclone.bases.base import load_base

    if options.system != STYLETTS2:
        raise UsageError(f"--teacher: a student is a Kokoro-format model: leave out --system {options.system}")
    given = {"--boost": options.boost, "--kept-out": options.kept_out, "--voice-first": options.voice_first}
    own = {"--finetune": options.finetune, "--voice": options.voice, "--strength": options.strength,
           "--diffusion": options.diffusion or None, "--decoder": options.decoder, "--slm": options.slm}  # fmt: skip
    if wrong := next((flag for flag, value in own.items() if value is not None), None):
        raise UsageError(f"{wrong}: can only be used with --data: leave it out")
    if wrong := next((flag for flag, value in given.items() if value), None):
        raise UsageError(f"{wrong}: cannot be used with --teacher, whose speech has no speakers: leave it out")
    cache = options.out / "cache" / "teacher"
    process_group.broadcast_result(lambda: prepare_teacher_corpus(options.teacher, cache, reporter=reporter) and None)
    known = None if options.from_teacher is None else load_base(options.from_teacher, offline=options.offline)
    return train_student, {"corpus": Corpus([cache]), "teacher": known}


def _train(
    train: Callable[[TrainingRun], Path], run: TrainingRun, options: argparse.Namespace, done: int, reporter: Reporter
) -> Path:
    """Train and export, with trackers in the main process; returns the base's folder."""
    import torch

    from voiceclone.base_training.training_tracker import TrainingTracker
    from voiceclone.tracking.trackers import open_trackers

    with (
        open_trackers(
            tensorboard=options.tensorboard and run.group.is_main,
            wandb=options.wandb and run.group.is_main,
            wandb_project=options.wandb_project,
            run_name=options.out.name,
            folder=options.out,
            config=run.config.to_json(),
            offline=options.offline,
            resume_step=done,
            warn=reporter.warn,
        ) as trackers,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(torch.set_flush_denormal, False)
        # Denormal numbers are hundreds of times slower on most CPUs, and are not needed here.
        torch.set_flush_denormal(True)
        return train(dataclasses.replace(run, tracker=TrainingTracker(trackers, reporter)))


def _resumed_step(options: argparse.Namespace) -> int:
    """The step of the checkpoint in OUT, which must belong to the given system."""
    from voiceclone.base_training.systems import STYLETTS2
    from voiceclone.base_training.trainer import CHECKPOINT, read_checkpoint

    state = read_checkpoint(options.out)
    system = state["config"].get("system", STYLETTS2)
    if system != options.system:
        raise UsageError(f"{options.out / CHECKPOINT}: is a run of --system {system}: give that, or another --out")
    return state["step"]


def _corpora(
    options: argparse.Namespace, process_group: ProcessGroup, reporter: Reporter, base: FinetunedBase | None = None
) -> tuple[Corpus, Corpus | None]:
    """The training corpus and the corpus of held-out speakers; ``base`` is what is fine-tuned.

    The main process computes the features; the others wait.
    """
    from voiceclone.base_training.caches import prepare_caches
    from voiceclone.base_training.corpus import Corpus

    folder = options.out / "cache"
    data, kept = (
        [(path, folder / f"{kind}-{number:03d}-{path.name}") for number, path in enumerate(paths)]
        for kind, paths in (("data", options.data), ("kept-out", options.kept_out))
    )
    if process_group.is_main:
        prepare_caches(data, kept, folder, _preparation(options, base), reporter=reporter)
    process_group.barrier()
    corpus = Corpus([cache for _, cache in data])
    if not kept:
        return corpus, None
    kept_out = Corpus([cache for _, cache in kept])
    if both := set(corpus.speakers) & set(kept_out.speakers):
        raise UsageError(f"--kept-out: {sorted(both)[0]} is in the training data too: rename or remove the speaker")
    return corpus, kept_out


def _preparation(options: argparse.Namespace, base: FinetunedBase | None) -> Preparation:
    from voiceclone.base_training.base_aligner import aligner_of
    from voiceclone.base_training.caches import Preparation
    from voiceclone.models.presets import full_config

    return Preparation(
        vocab=full_config()["vocab"],  # the same for all systems and presets
        alignment=options.alignment,
        language=options.lang,
        base_aligner=None if base is None else lambda: aligner_of(base, options.lang),
    )


def _boosts(pairs: list[str]) -> dict[str, float]:
    boosts = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            boosts[name] = float(value)
        except ValueError:
            raise UsageError(f"--boost {pair!r}: give SPEAKER=WEIGHT, for example lj=3") from None
        if not equals or boosts[name] <= 0:
            raise UsageError(f"--boost {pair!r}: the weight must be positive")
    return boosts


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
