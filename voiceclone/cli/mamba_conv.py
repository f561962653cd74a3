"""``python scripts/mamba_conv/main_runner.py``: train and test a Mamba-Conv synthesizer on one recording.

Recordings are cut by ``prepare``; the training is ``train-base --system mamba-conv``.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.help import CommandParser
from voiceclone.errors import UsageError, VoicecloneError

if TYPE_CHECKING:
    from voiceclone.models.mamba_conv.bundle import Bundle
    from voiceclone.voice.pack import VoicePack

BEST, LOG, RESULTS = "best_model.pt", "enhanced_tts_system.log", "enhanced_test_results.json"
ITERATIONS = (6, 12, 20)
SENTENCES = (
    "The old lighthouse stood alone above the quiet harbour.",
    "She asked whether anybody had seen the letter on the table.",
)
LEAST_SECONDS = 60.0  # minimum length of the recording in seconds
STYLE_SECONDS = 30.0  # seconds of it from which the style for the tests is computed
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The four commands, each with its flags."""
    commands = parser.add_subparsers(dest="task", metavar="COMMAND", required=True, parser_class=CommandParser)
    what = {
        "train": "train codec and synthesizer on one recording",
        "test": "speak three texts in 6, 12 and 20 rounds",
        "pipeline": "train, then test",
        "analyze": "sizes, trends, accuracies, calibration and cost of a trained model",
    }
    for name, summary in what.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}.")
        if name != "analyze":
            _add_recording(command)
        if name in ("train", "pipeline"):
            _add_training(command)
        if name in ("test", "analyze"):
            command.add_argument("--model", type=Path, help=f"a trained model (default: {BEST} in --out)")
        if name in ("test", "pipeline"):
            command.add_argument("--mode", default="masked", help="how tokens are generated: masked or refine")
        command.add_argument("--out", type=Path, default=Path("."), metavar="DIR", help="folder of all files")
        command.add_argument("--log-level", default="INFO", help=f"one of {', '.join(LEVELS)}")
        if name == "analyze":
            command.add_argument("--json", action="store_true", help="print one JSON object")


def _add_recording(command: argparse.ArgumentParser) -> None:
    command.add_argument("--audio", type=Path, required=True, metavar="FILE", help="the recording, a minute or more")
    command.add_argument(
        "--transcription", type=Path, required=True, metavar="FILE", help="JSON with a time for every character of it"
    )
    command.add_argument("--cpu-only", action="store_true", help="use no GPU")
    command.add_argument("--lang", default="a", help="Kokoro's language code")
    command.add_argument("--offline", action="store_true", help="never use the network")


def _add_training(command: argparse.ArgumentParser) -> None:
    command.add_argument("--steps", type=int, default=20_000, help="steps of the synthesizer")
    command.add_argument("--learning-rate", type=float, default=2e-4, help="peak learning rate of the synthesizer")
    command.add_argument("--vocab-size", type=int, default=1024, help="tokens in each codebook of the codec")
    command.add_argument("--test-after-training", action="store_true", help="speak the test texts at the end")
    command.add_argument("--preset", default="nano", help="sizes: nano, reference or tiny")
    command.add_argument("--mixer", default="mamba", help="what looks to the left: mamba, gru or attention")
    command.add_argument("--codec", default="own", help="own, encodec, or the folder of a codec or of a base")
    command.add_argument(
        "--init", type=Path, metavar="BASE", help="start from a trained Mamba-Conv base, with its codec"
    )
    command.add_argument("--seed", type=int, default=0, help="random seed")
    command.add_argument("--settings", type=Path, help="JSON with further settings of a run, as in train_config.json")
    command.add_argument("--resume", action="store_true", help="continue an interrupted training")
    command.add_argument("--overwrite", action="store_true", help="replace an earlier run in --out")


def run(options: argparse.Namespace) -> int:
    """Run one of the four commands."""
    if options.log_level.upper() not in LEVELS:
        raise UsageError(f"--log-level {options.log_level}: use one of {', '.join(LEVELS)}")
    if options.task == "analyze":
        return _analyze(options)
    _check_recording(options)
    handlers = _open_log(options.out / LOG, options.log_level.upper())
    try:
        if options.task in ("train", "pipeline"):
            _train(options)
        if options.task in ("test", "pipeline") or options.test_after_training:
            _test(options)
    except VoicecloneError as error:
        # In the file only: main() prints it.
        logging.getLogger("voiceclone").removeHandler(handlers[1])
        logging.getLogger("voiceclone").error("%s", error, exc_info=options.log_level.upper() == "DEBUG")
        raise
    finally:
        for handler in handlers:
            logging.getLogger("voiceclone").removeHandler(handler)
            handler.close()
    return 0


def _check_recording(options: argparse.Namespace) -> None:
    from voiceclone.audio.io import probe

    for flag, path in (("--audio", options.audio), ("--transcription", options.transcription)):
        if not path.is_file():
            raise UsageError(f"{flag} {path}: no such file: correct the path")
    seconds = probe(options.audio).seconds
    if options.task != "test" and seconds < LEAST_SECONDS:
        raise UsageError(f"--audio {options.audio}: {seconds:.0f} s are too little: give at least {LEAST_SECONDS:g} s")


def _train(options: argparse.Namespace) -> None:
    """Run ``prepare``, then ``train-base``, whose settings are checked first."""
    from voiceclone.base_training.systems import find_recipe
    from voiceclone.cli.train_base_settings import run_config

    dataset = options.out / "dataset"
    training = _training(options, dataset)
    find_recipe(training.system).check(run_config(training), training.init)
    again = "--overwrite" if options.overwrite else "--resume"
    cutting = _command(
        "prepare", options.audio, "--subtitles", options.transcription, "--out", dataset, "--validation", 0,
        "--lang", options.lang, *([again] if dataset.exists() else []),
    )  # fmt: skip
    cutting.run(cutting)
    training.run(training)


def _training(options: argparse.Namespace, dataset: Path) -> argparse.Namespace:
    """The options of ``train-base``."""
    kept = [f"--{name}" for name in ("overwrite", "offline") if getattr(options, name)]
    # A run that was interrupted while training its codec has no checkpoint yet; it resumes without a flag.
    kept += ["--resume"] if options.resume and (options.out / "checkpoint.pt").is_file() else []
    given = [
        word for name in ("init", "settings") if (value := getattr(options, name)) for word in (f"--{name}", value)
    ]
    return _command(
        "train-base", "--system", "mamba-conv", "--data", dataset, "--out", options.out, "--steps", options.steps,
        "--learning-rate", options.learning_rate, "--preset", options.preset, "--lang", options.lang,
        "--seed", options.seed, "--device", "cpu" if options.cpu_only else "auto",
        *kept, *given,
        "--set", f"codebook_size={options.vocab_size}", f"mixer={options.mixer}", f"codec={options.codec}",
    )  # fmt: skip


def _command(*words: Any) -> argparse.Namespace:
    from voiceclone.cli.main import parse_arguments

    return parse_arguments([str(word) for word in words])


def _test(options: argparse.Namespace) -> None:
    """Synthesise a sentence of the recording and two new ones in its style, with few and with many rounds."""
    from voiceclone.audio.io import write_wav
    from voiceclone.distributed import choose_device
    from voiceclone.files import write_json
    from voiceclone.models.mamba_conv.bundle import load_bundle
    from voiceclone.models.mamba_conv.config import GenerationConfig
    from voiceclone.text.g2p import build_pipeline
    from voiceclone.voice.speaking import speak_whole

    model = getattr(options, "model", None) or options.out / BEST
    bundle = load_bundle(model)
    kmodel = bundle.kmodel().to(choose_device("cpu" if options.cpu_only else "auto"))
    voice = _style_of(bundle, options.audio)
    pipeline = build_pipeline(options.lang, kmodel)
    found = []
    for number, text in enumerate(_texts(options.transcription), 1):
        for rounds in ITERATIONS:
            kmodel.settings = GenerationConfig(
                mode=getattr(options, "mode", "masked"), rounds=rounds, min_rounds=min(ITERATIONS[0], rounds)
            )
            audio = speak_whole(pipeline, text, voice.tensor)
            name = f"enhanced_test_{number}_{rounds}iter.wav"
            write_wav(options.out / name, audio)
            info = kmodel.last.info if kmodel.last is not None else {}
            found.append({"file": name, "text": text, "seconds": round(len(audio) / 24_000, 3), **info})
            logging.getLogger(__name__).info(
                "%s: %d rounds, confidence %.3f", name, info["iterations"], info["confidence"]
            )
    write_json(options.out / RESULTS, {"model": str(model), "tests": found})


def _style_of(bundle: Bundle, audio: Path) -> VoicePack:
    """A voice with the style of the recording's first 30 s."""
    import torch

    from voiceclone.audio.features import SAMPLE_RATE, LogMel
    from voiceclone.audio.io import read_audio
    from voiceclone.models.mamba_conv.speaking import StylePair
    from voiceclone.voice.pack import ROWS, VOICE_DIM, VoicePack

    sound = read_audio(audio)[: int(STYLE_SECONDS * SAMPLE_RATE)]
    with torch.no_grad():
        device = bundle.model.text.embedding.weight.device
        style = StylePair(bundle.model)(LogMel()(torch.from_numpy(sound)[None]).to(device)).cpu()
    return VoicePack(tensor=style.expand(ROWS, VOICE_DIM)[:, None], name=audio.stem)


def _texts(transcription: Path) -> Sequence[str]:
    """One sentence of the recording and two others."""
    from voiceclone.prepare.subtitles import read_subtitles

    spoken = [cue.text for cue in read_subtitles(transcription)[0] if len(cue.text.split()) > 2]
    return (*spoken[:1], *SENTENCES) if spoken else (SENTENCES[0], *SENTENCES)


def _analyze(options: argparse.Namespace) -> int:
    from voiceclone.base_training.mamba_conv.analysis import analysis_text, analyze

    found = analyze(options.model or options.out / BEST)
    print(json.dumps(found, indent=2) if options.json else analysis_text(found))
    return 0


def _open_log(path: Path, level: str) -> list[logging.Handler]:
    """Send all log messages to standard error and to the run's log file."""
    from voiceclone.files import write_failure

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler()]
    except OSError as error:
        raise VoicecloneError(write_failure(path, error)) from error
    logger = logging.getLogger("voiceclone")
    logger.setLevel(level)
    for handler in handlers:
        handler.setLevel(level)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    return handlers
