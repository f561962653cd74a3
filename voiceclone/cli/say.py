"""``voiceclone say``: speak a text with a voice."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cli.say_style import (
    add_style_arguments,
    check_style_flags,
    expressive_voices,
    sampled_voices,
    variant_names,
    wants_sampling,
)
from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from kokoro import KPipeline

    from voiceclone.bases.base import Base
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.pack import VoicePack

STDOUT = "-"
DEFAULT_OUT = "speech.wav"
Parts = list[tuple[str | None, str]]  # voice, text; None is the voice of --voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``say``."""
    parser.add_argument(
        "text",
        metavar="TEXT",
        nargs="?",
        help="what to say; - reads standard input; [voice:NAME] in it changes the voice",
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="read the text from a UTF-8 file instead")
    parser.add_argument(
        "--voice",
        help="a file of a voice (FILE:NAME for one of several), a stock voice's name, or a mix: "
        '"0.7*v.pt + 0.3*af_heart", "af_bella(2)+af_sky(1)" (default: af_heart)',
    )
    parser.add_argument(
        "--base", default="auto", help="auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file (default: auto)"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where the speech goes: a name in .wav, .flac, .ogg, .opus or .mp3; - is WAV on standard output "
        f"(default: {DEFAULT_OUT}, or the next free name)",
    )
    parser.add_argument("--lang", default="a", help="Kokoro's language code (default: a)")
    parser.add_argument("--speed", type=float, default=1.0, help="times the voice's own rate (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sound source's noise (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--json", action="store_true", help="print one JSON object (to stderr where --out is -)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_style_arguments(parser)
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Synthesise, write the audio as it is produced, report the speed."""
    from voiceclone.text.voice_markers import parts_by_voice
    from voiceclone.tracking.progress import Reporter

    parts = parts_by_voice(_text(options))
    check_style_flags(options)
    options.out, chosen = _checked_out(options)
    planned = _check_voices(options, parts)
    reporter = Reporter(verbosity=verbosity(options))
    # Standard output may carry the audio, so output of libraries goes to standard error.
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        spoken = _speak(options, parts, planned, chosen, reporter, output)
    if options.json:
        shown = spoken if options.variants is not None else spoken[0]
        print(json.dumps(shown, indent=2), file=sys.stderr if options.out == STDOUT else output)
        return 0
    for facts in spoken:
        count = f"{facts['pieces']} piece{'' if facts['pieces'] == 1 else 's'}"
        target = "standard output" if facts["out"] == STDOUT else facts["out"]
        reporter.info(
            f"{target}: {facts['seconds']:.1f} s of speech in {count}, "
            f"real-time factor {facts['real_time_factor']:.2f}, first audio after {facts['first_audio_seconds']:.2f} s"
        )
    return 0


def _check_voices(options: argparse.Namespace, parts: Parts) -> str | Path:
    """Refuse unknown voices before torch is imported; returns the base that will be used, as far as known."""
    from voiceclone.bases.stock_names import checked_base, planned_base, stock_names
    from voiceclone.voice.lookup import check_names
    from voiceclone.voice.origin import base_for

    for voice in dict.fromkeys((options.voice, *(voice for voice, _ in parts))):
        if voice is not None:
            options.base = base_for(voice, options.base)
    planned = planned_base(checked_base(options.base), offline=options.offline)
    names = stock_names(planned)
    for voice in dict.fromkeys((options.voice, *(voice for voice, _ in parts))):
        if voice is not None and names is not None:
            check_names(voice, names, where=_where(options))
    return planned


def _where(options: argparse.Namespace) -> str:
    """The base of the stock voices, for messages."""
    return "the base" if options.base == "auto" else f"--base {options.base}"


def _speak(
    options: argparse.Namespace, parts: Parts, planned: str | Path, chosen: str, reporter: Reporter, output: Any
) -> list[dict[str, Any]]:
    """Load the voices and their base, and synthesise as often as requested; returns the facts of each time."""
    from voiceclone.distributed import choose_device
    from voiceclone.text.g2p import notice_of
    from voiceclone.voice.speaking import check_speed

    check_speed(options.speed)
    device = choose_device(options.device)
    started = time.perf_counter()
    packs, base = _voices_and_base(options, parts, planned, chosen, reporter)
    base.kmodel.to(device)
    pipeline = base.pipeline(options.lang, offline=options.offline)
    if notice := notice_of(pipeline):
        reporter.warn(notice)
    common = {
        "voice": options.voice,
        "voices": list(packs),
        "base": base.title,
        "load_seconds": round(time.perf_counter() - started, 3),
        "device": str(device),
    }
    spoken = []
    for number, out in enumerate(variant_names(options.out, options.variants)):
        voices: dict[str, Any] = {name: pack.tensor for name, pack in packs.items()}
        if wants_sampling(options):
            voices = dict(sampled_voices(options, base, packs, pipeline, variant=number))
        elif options.expressive is not None:
            voices = dict(expressive_voices(options, base, packs, variant=number))
        said = [(text, voices[voice or options.voice]) for voice, text in parts]
        facts = _say_once(options, pipeline, said, out, reporter, output, seed=options.seed + number)
        spoken.append({"out": out, **common, **facts})
    return spoken


def _say_once(
    options: argparse.Namespace,
    pipeline: KPipeline,
    said: list[tuple[str, Any]],
    out: str,
    reporter: Reporter,
    output: Any,
    *,
    seed: int,
) -> dict[str, Any]:
    """Synthesise (text, voice) pairs into one file or stream; returns speed, and what could not be spoken."""
    from voiceclone.audio.stream import sound_file, sound_stream
    from voiceclone.text.g2p import LANGUAGES
    from voiceclone.text.pieces import LeftOut
    from voiceclone.voice.speaking import deliver, speak_parts

    left_out = LeftOut()
    opened = sound_stream(output.buffer) if out == STDOUT else sound_file(Path(out))
    with opened as write, reporter.task("Speaking", unit="piece") as task:

        def write_piece(audio: Any) -> None:
            write(audio)
            task.advance(1)

        pieces = speak_parts(pipeline, said, speed=options.speed, seed=seed, left_out=left_out)
        delivery = deliver(pieces, write_piece)
    for warning in left_out.warnings(LANGUAGES[pipeline.lang_code]):
        reporter.warn(warning)
    return {
        "seconds": round(delivery.seconds, 3),
        "pieces": delivery.pieces,
        "unspoken": left_out.texts,
        "unknown_symbols": sorted(left_out.symbols),
        "real_time_factor": round(delivery.real_time_factor, 3),
        "first_audio_seconds": round(delivery.first_audio_seconds, 3),
    }


def _voices_and_base(
    options: argparse.Namespace, parts: Parts, planned: str | Path, chosen: str, reporter: Reporter
) -> tuple[dict[str, VoicePack], Base]:
    """The voices first, because wrong names should be reported before a model is loaded.

    ``options.voice`` becomes the default voice if none is given and a part of the text has none.
    """
    from voiceclone.bases.base import NANO, load_base, load_stock_voices
    from voiceclone.bases.stock_names import default_voice
    from voiceclone.voice.lookup import VoiceFinder
    from voiceclone.voice.origin import misfits

    @cache
    def base() -> Base:
        return load_base(options.base, offline=options.offline, notice=reporter.info)

    # The base that ``auto`` selects may only be known after loading.
    finder = VoiceFinder(
        lambda: base().stock_voices if planned == "auto" else load_stock_voices(planned), where=_where(options)
    )
    if options.voice is None and any(voice is None for voice, _ in parts):
        options.voice = default_voice(finder.stock)
        if options.voice is None:
            raise UsageError(f"no --voice is given, and {_where(options)} has no stock voices: give --voice FILE")
        chosen = f"with {options.voice}{' ' if chosen else ''}{chosen}"
    if chosen:
        reporter.info(f"speaking {chosen}")
    packs = {voice: finder.find(voice) for voice in dict.fromkeys(voice or options.voice for voice, _ in parts)}
    if base().kind == NANO and options.base == "auto":
        reporter.warn("the real Kokoro is not here and no source of it answered: speaking with the nano base")
    for line in (line for voice in packs for line in misfits(voice, base())):
        reporter.warn(line)
    return packs, base()


def _text(options: argparse.Namespace) -> str:
    """The text, from the command line, a file or standard input."""
    if (options.text is None) == (options.file is None):
        raise UsageError("give the text to say either as TEXT (- reads standard input) or with --file")
    try:
        if options.file is not None:
            text = options.file.read_text(encoding="utf-8-sig")
        else:
            text = sys.stdin.read() if options.text == "-" else options.text
    except OSError as error:
        raise UsageError(f"--file {options.file}: {error.strerror or error}: check the path") from error
    except UnicodeDecodeError as error:
        source = options.file if options.file is not None else "standard input"
        raise UsageError(f"the text of {source} is not UTF-8: save it as UTF-8") from error
    if not text.strip():
        raise UsageError("nothing to say: the text is empty")
    return text


def _checked_out(options: argparse.Namespace) -> tuple[str, str]:
    """Check the output path before any work is done.

    Returns:
        the output path, and ``into FILE`` if it is a default.
    """
    from voiceclone.audio.sound_formats import format_of

    if options.out is None:
        out = DEFAULT_OUT if options.overwrite else _free_name(Path(DEFAULT_OUT), options.variants)
        return out, f"into {', '.join(variant_names(out, options.variants))}"
    if options.out == STDOUT:
        if options.variants is not None:
            raise UsageError("--variants: several files need a name: give --out FILE")
        if sys.stdout.isatty():
            raise UsageError("--out -: standard output is a terminal: send it to a file or to a player")
        return STDOUT, ""
    format_of(Path(options.out))
    for each in map(Path, variant_names(options.out, options.variants)):
        if each.exists() and not options.overwrite:
            raise UsageError(f"{each} exists: choose another --out, or replace it with --overwrite")
    return options.out, ""


def _free_name(path: Path, variants: int | None) -> str:
    """``speech.wav``, ``speech_2.wav``...: the first name that is free, also for its variants."""
    names = (str(path) if number == 1 else f"{path.stem}_{number}{path.suffix}" for number in itertools.count(1))
    return next(name for name in names if not any(Path(each).exists() for each in variant_names(name, variants)))
