"""``voiceclone train-base``: train a Kokoro-format base from multi-speaker data, and pack it."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError, VoicecloneError, shown

if TYPE_CHECKING:
    from voiceclone.base_training.caches import Preparation
    from voiceclone.base_training.config import TrainConfig
    from voiceclone.base_training.corpus import Corpus
    from voiceclone.distributed import Team


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    _add_data(parser)
    _add_training(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; the base is packed into OUT/base")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--overwrite", action="store_true", help="start anew where OUT holds a run")
    parser.add_argument("--pack-only", action="store_true", help="train nothing: pack the checkpoint in OUT")
    parser.add_argument("--voices", type=int, default=30, help="stock voices to pack (default: 30)")
    parser.add_argument("--voice-first", nargs="*", default=[], metavar="SPEAKER", help="speakers packed in any case")
    parser.add_argument("--facts", type=Path, help="JSON with name, version, licence, data... for the card")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard events to OUT/tensorboard")
    parser.add_argument("--wandb", action="store_true", help="log to Weights & Biases (WANDB_MODE is respected)")
    parser.add_argument("--wandb-project", default="voiceclone", help="Weights & Biases project (default: voiceclone)")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quiet", action="store_true", help="only warnings and errors")
    group.add_argument("--verbose", action="store_true", help="more detail")  # fmt: skip


def _add_data(parser: argparse.ArgumentParser) -> None:
    """Flags of what is trained on."""
    parser.add_argument(
        "--data",
        nargs="+",
        type=Path,
        required=True,
        metavar="DIR",
        help="datasets: metadata.jsonl or a table with file_name, text and a speaker column, or one "
        "folder a speaker; phonemes and durations columns are used where they are there",
    )
    parser.add_argument("--lang", default="a", help="Kokoro's language code, for texts without phonemes (default: a)")
    parser.add_argument(
        "--alignment",
        default="auto",
        choices=("auto", "given", "warp", "learned"),
        help="where durations come from that the data does not bring: warp (eSpeak-NG's reading of the text, English), "
        "learned (an aligner trained on the data first, any language), given (refuse data without); "
        "auto: warp for English, learned for other languages (default: auto)",
    )
    parser.add_argument(
        "--boost",
        nargs="*",
        default=[],
        metavar="SPEAKER=WEIGHT",
        help="speakers drawn more often than others, for example lj=3",
    )
    parser.add_argument(
        "--kept-out",
        nargs="*",
        default=[],
        type=Path,
        metavar="DIR",
        help="datasets of speakers in no training: measured with voices of the base's own encoders",
    )
    parser.add_argument(
        "--quick-f0",
        action="store_true",
        help="track F0 of rows that bring durations (synthesised speech) by pyworld's DIO: 15 times as fast",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Flags of how it is trained."""
    parser.add_argument("--preset", default="nano", help="nano, full or tiny (default: nano)")
    parser.add_argument("--steps", type=int, help="length of the run in steps; this or --minutes")
    parser.add_argument("--minutes", type=float, help="length of the run in minutes of training")
    parser.add_argument(
        "--second-share",
        type=float,
        default=0.3,
        help="length of the second pair's training as a share of the run (default: 0.3)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument(
        "--init", type=Path, metavar="BASE", help="start from a trained base of the same preset instead of at random"
    )
    parser.add_argument("--compile", action="store_true", help="compile the vocoder (needs a C compiler)")
    parser.add_argument("--bfloat16", action="store_true", help="run the vocoder's inner blocks in bfloat16")
    parser.add_argument("--learning-rate", type=float, help="peak learning rate (default: 1e-3)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--settings", type=Path, help="JSON with any other settings of a run, as in train_config.json")
    parser.add_argument("--threads", type=int, help="CPU threads")


def run(options: argparse.Namespace) -> int:
    """Prepare the corpus, train, train the second pair, pack; the exit code.

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
    from voiceclone.distributed import open_team, process_index

    main = process_index() == 0
    _show_progress(logging.ERROR if not main else logging.WARNING if options.quiet else logging.INFO)
    facts = read_facts(options.facts)
    resume = options.resume or options.pack_only
    if (options.out / CHECKPOINT).is_file() and not resume and not options.overwrite:
        raise UsageError(f"{options.out} holds a run: go on with --resume, or start anew with --overwrite")
    config = _config(options)
    boost = _boosts(options.boost)
    _set_threads(options.threads)
    # Before the team is there: later the main process may write it.
    done = read_checkpoint(options.out)["step"] if resume else 0
    with open_team(config.device) as team:
        corpus, kept_out = _corpora(options, team)
        base = _train(
            options, config, done, corpus=corpus, kept_out=kept_out, facts=facts, boost=boost, resume=resume, team=team
        )
    if main:
        print(f"base: {base}")
    return 0


def _train(options: argparse.Namespace, config: TrainConfig, done: int, *, team: Team, **settings: Any) -> Path:
    """Train and pack, with trackers open in the main process; the base's folder."""
    import torch

    from voiceclone.base_training.listening import Listener
    from voiceclone.base_training.recipe import train_and_pack
    from voiceclone.tracking.trackers import open_trackers

    with (
        open_trackers(
            tensorboard=options.tensorboard and team.is_main,
            wandb=options.wandb and team.is_main,
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
        return train_and_pack(
            config=config,
            out=options.out,
            train=not options.pack_only,
            second_share=options.second_share,
            voices=options.voices,
            voice_first=options.voice_first,
            init=options.init,
            listener=Listener(trackers),
            team=team,
            **settings,
        )


def _config(options: argparse.Namespace) -> TrainConfig:
    """The run's settings: defaults, then --settings, then flags."""
    from voiceclone.base_training.config import TrainConfig

    values = TrainConfig(steps=1).to_json()
    if options.settings is not None:
        try:
            values.update(json.loads(options.settings.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"--settings {options.settings}: is no JSON object ({error}): correct it") from error
    # Packing trains nothing: any length will do.
    length = (
        {"steps": 1, "minutes": None} if options.pack_only else {"steps": options.steps, "minutes": options.minutes}
    )
    values.update(preset=options.preset, seed=options.seed, device=_device(options.device), **length)
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


def _corpora(options: argparse.Namespace, team: Team) -> tuple[Corpus, Corpus | None]:
    """The training data and the speakers kept out; the main process computes the features, the others wait for them."""
    from voiceclone.base_training.caches import prepare_caches
    from voiceclone.base_training.corpus import Corpus

    folder = options.out / "cache"
    data, kept = (
        [(path, folder / f"{kind}-{number:03d}-{path.name}") for number, path in enumerate(paths)]
        for kind, paths in (("data", options.data), ("kept-out", options.kept_out))
    )
    if team.is_main:
        prepare_caches(data, kept, folder, _preparation(options))
    team.wait()
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
