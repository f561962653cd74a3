"""``voiceclone train-base``: train a Kokoro-format base from multi-speaker data, and pack it."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.train_base_flags import add_arguments
from voiceclone.errors import UsageError, VoicecloneError, shown

__all__ = ["add_arguments", "run"]

if TYPE_CHECKING:
    from voiceclone.base_training.caches import Preparation
    from voiceclone.base_training.config import TrainConfig
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.distributed import ProcessGroup


def run(options: argparse.Namespace) -> int:
    """Prepare the corpus, train, train the surrogate encoders, pack; the exit code.

    Of several processes only the main one speaks, unless another one fails by itself.
    """
    from voiceclone.distributed import ProcessLostError, process_index

    if process_index() == 0:
        return _run(options)
    try:
        return _run(options)
    except (UsageError, ProcessLostError) as error:  # the main process meets it too and says so
        return error.exit_code
    except VoicecloneError as error:
        raise VoicecloneError(f"process {process_index()}: {error}") from error


def _run(options: argparse.Namespace) -> int:
    from voiceclone.base_training.recipe import read_facts
    from voiceclone.base_training.trainer import CHECKPOINT, read_checkpoint
    from voiceclone.distributed import open_process_group, process_index

    main = process_index() == 0
    _show_progress(logging.ERROR if not main else logging.WARNING if options.quiet else logging.INFO)
    facts = read_facts(options.facts)
    resume = options.resume or options.pack_only
    if (options.out / CHECKPOINT).is_file() and not resume and not options.overwrite:
        raise UsageError(f"{options.out} holds a run: go on with --resume, or start anew with --overwrite")
    config = _config(options)
    boost = _boosts(options.boost)
    _set_threads(options.threads)
    # Before the process group is there: later the main process may write it.
    done = read_checkpoint(options.out)["step"] if resume else 0
    with open_process_group(config.device) as process_group:
        if options.teacher is not None:
            train, data = _student(options, process_group)
        elif options.finetune is not None:
            train, data = _finetuned(options, process_group, config)
        else:
            train, data = _recorded(options, process_group, boost)
        base = _train(train, options, config, done, process_group=process_group, facts=facts, resume=resume, **data)
    if main:
        print(f"base: {base}")
    return 0


def _recorded(
    options: argparse.Namespace, process_group: ProcessGroup, boost: dict[str, float]
) -> tuple[Callable[..., Path], dict[str, Any]]:
    """What trains on recordings, and its data and settings."""
    from voiceclone.base_training.recipe import train_and_pack

    if options.from_teacher is not None:
        raise UsageError("--from-teacher: has a meaning with --teacher alone: leave it out, or give --init BASE")
    corpus, kept_out = _corpora(options, process_group)
    return train_and_pack, {
        "corpus": corpus,
        "kept_out": kept_out,
        "boost": boost,
        "surrogate_share": options.surrogate_share,
        "voices": options.voices,
        "voice_first": options.voice_first,
    }


def _finetuned(
    options: argparse.Namespace, process_group: ProcessGroup, config: TrainConfig
) -> tuple[Callable[..., Path], dict[str, Any]]:
    """What fine-tunes a base, and its data with speech of the base's own to rehearse."""
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.base_training.finetune import train_finetuned
    from voiceclone.base_training.finetuned_base import find_finetuned_base
    from voiceclone.base_training.rehearsal import rehearse

    given = {"--init": options.init, "--from-teacher": options.from_teacher, "--kept-out": options.kept_out,
             "--boost": options.boost, "--decoder": options.decoder}  # fmt: skip
    if wrong := next((flag for flag, value in given.items() if value), None):
        raise UsageError(f"{wrong}: has no meaning with --finetune: leave it out")
    corpus, _ = _corpora(options, process_group)
    settings = config.styletts2
    if settings.rehearsal_share and settings.rehearsal_utterances:
        base, count = find_finetuned_base(options.finetune), settings.rehearsal_utterances
        spoken = process_group.broadcast_result(
            lambda: rehearse(corpus, base.load, options.out, count=count, seed=options.seed)
        )
        corpus = corpus if spoken is None else Corpus([*corpus.caches, spoken])
    return train_finetuned, {"corpus": corpus}


def _student(options: argparse.Namespace, process_group: ProcessGroup) -> tuple[Callable[..., Path], dict[str, Any]]:
    """What trains a student, and its data."""
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.base_training.student_base import train_student
    from voiceclone.base_training.teacher_corpus import prepare_teacher_corpus
    from voiceclone.bases.base import load_base

    given = {"--boost": options.boost, "--kept-out": options.kept_out, "--voice-first": options.voice_first}
    own = {"--finetune": options.finetune, "--diffusion": options.diffusion, "--decoder": options.decoder,
           "--slm": options.slm}  # fmt: skip
    if wrong := next((flag for flag, value in own.items() if value), None):
        raise UsageError(f"{wrong}: has a meaning with --data alone: leave it out")
    if wrong := next((flag for flag, value in given.items() if value), None):
        raise UsageError(f"{wrong}: has no meaning with --teacher, whose speech has no speakers: leave it out")
    cache = options.out / "cache" / "teacher"
    process_group.broadcast_result(lambda: prepare_teacher_corpus(options.teacher, cache) and None)
    known = None if options.from_teacher is None else load_base(options.from_teacher, offline=options.offline)
    return train_student, {"corpus": Corpus([cache]), "teacher": known}


def _train(
    train: Callable[..., Path],
    options: argparse.Namespace,
    config: TrainConfig,
    done: int,
    *,
    process_group: ProcessGroup,
    **data: Any,
) -> Path:
    """Train and pack, with trackers open in the main process; the base's folder."""
    import torch

    from voiceclone.base_training.training_tracker import TrainingTracker
    from voiceclone.tracking.trackers import open_trackers

    with (
        open_trackers(
            tensorboard=options.tensorboard and process_group.is_main,
            wandb=options.wandb and process_group.is_main,
            wandb_project=options.wandb_project,
            run_name=options.out.name,
            folder=options.out,
            config=config.to_json(),
            offline=options.offline,
            resume_step=done,
            warn=logging.getLogger("voiceclone").warning,
        ) as trackers,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(torch.set_flush_denormal, False)
        # Values near 0 cost hundreds of times more than others on most CPUs, and mean nothing here.
        torch.set_flush_denormal(True)
        return train(
            config=config,
            out=options.out,
            train=not options.pack_only,
            init=options.init,
            tracker=TrainingTracker(trackers),
            process_group=process_group,
            **data,
        )


def _config(options: argparse.Namespace) -> TrainConfig:
    """The run's settings: defaults, then --settings, then flags."""
    from voiceclone.base_training.config import TrainConfig

    values = TrainConfig(steps=1).to_json()
    preset = options.preset
    if options.finetune is not None:
        from voiceclone.base_training.finetune import finetune_settings
        from voiceclone.base_training.finetuned_base import find_finetuned_base

        base = find_finetuned_base(options.finetune)
        preset = base.preset
        values.update(finetune_settings(base))
    if options.settings is not None:
        try:
            values.update(json.loads(options.settings.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"--settings {options.settings}: is no JSON object ({error}): correct it") from error
    # Packing trains nothing: any length will do.
    length = (
        {"steps": 1, "minutes": None} if options.pack_only else {"steps": options.steps, "minutes": options.minutes}
    )
    flags = {"diffusion": options.diffusion, "decoder": options.decoder, "slm": options.slm,
             "finetune": options.finetune}  # fmt: skip
    if given := {name: value for name, value in flags.items() if value}:
        values["system_settings"] = {**(values["system_settings"] or {}), **given}
    values.update(preset=preset, seed=options.seed, device=_device(options.device), **length)
    if options.compile:
        values["compile"] = True
    if options.bfloat16:
        values["bfloat16"] = True
    if options.learning_rate is not None:
        values["learning_rate"] = options.learning_rate
    try:
        return TrainConfig.from_json(values)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"--settings: {error}: correct it") from error


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU: use --device cpu")
    return name


def _corpora(options: argparse.Namespace, process_group: ProcessGroup) -> tuple[Corpus, Corpus | None]:
    """The training data and the speakers kept out; the main process computes the features, the others wait for them."""
    from voiceclone.base_training.caches import prepare_caches
    from voiceclone.base_training.corpus import Corpus

    folder = options.out / "cache"
    data, kept = (
        [(path, folder / f"{kind}-{number:03d}-{path.name}") for number, path in enumerate(paths)]
        for kind, paths in (("data", options.data), ("kept-out", options.kept_out))
    )
    if process_group.is_main:
        prepare_caches(data, kept, folder, _preparation(options))
    process_group.barrier()
    corpus = Corpus([cache for _, cache in data])
    if not kept:
        return corpus, None
    kept_out = Corpus([cache for _, cache in kept])
    if both := set(corpus.speakers) & set(kept_out.speakers):
        raise UsageError(f"--kept-out: {sorted(both)[0]} is in the training data too: rename or remove the speaker")
    return corpus, kept_out


def _preparation(options: argparse.Namespace) -> Preparation:
    from voiceclone.base_training.caches import Preparation
    from voiceclone.models.presets import preset

    return Preparation(
        vocab=preset(options.preset)[0]["vocab"],
        alignment=options.alignment,
        language=options.lang,
        offline=options.offline,
        quick_f0=options.quick_f0,
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


class _OneLine(logging.Formatter):
    """Names of files in a message may hold what steers a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return shown(super().formatMessage(record))


def _show_progress(level: int) -> None:
    logger = logging.getLogger("voiceclone")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_OneLine("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.propagate = False
