"""``voiceclone say``: speak a text with a voice."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from voiceclone.models.base import Base
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.pack import VoicePack

STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``say``."""
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what to say; - reads standard input")
    parser.add_argument("--file", type=Path, metavar="FILE", help="read the text from a UTF-8 file instead")
    parser.add_argument(
        "--voice",
        required=True,
        help="a file of a voice (FILE:NAME for one of several), a stock voice's name, or a mix: "
        '"0.7*v.pt + 0.3*af_heart", "af_bella(2)+af_sky(1)"',
    )
    parser.add_argument(
        "--base", default="auto", help="auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file (default: auto)"
    )
    parser.add_argument("--out", required=True, metavar="FILE.wav", help="where the speech goes; - is standard output")
    parser.add_argument("--lang", default="a", help="Kokoro's language code (default: a)")
    parser.add_argument("--speed", type=float, default=1.0, help="times the voice's own rate (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sound source's noise (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--json", action="store_true", help="print one JSON object (to stderr where --out is -)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Speak, write the wav as it comes, report how quickly."""
    text = _text(options)
    _check_out(options)
    from voiceclone.tracking.progress import Reporter

    reporter = Reporter(verbosity=verbosity(options))
    # Standard output may carry the sound, so whatever a library prints goes to standard error.
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        facts = _speak(options, text, reporter, output)
    if options.json:
        print(json.dumps(facts, indent=2), file=sys.stderr if options.out == STDOUT else output)
    else:
        count = f"{facts['pieces']} piece{'' if facts['pieces'] == 1 else 's'}"
        target = "standard output" if options.out == STDOUT else options.out
        reporter.info(
            f"{target}: {facts['seconds']:.1f} s of speech in {count}, "
            f"real-time factor {facts['real_time_factor']:.2f}, first audio after {facts['first_audio_seconds']:.2f} s"
        )
    return 0


def _speak(options: argparse.Namespace, text: str, reporter: Reporter, output: Any) -> dict[str, Any]:
    from voiceclone.audio.stream import wav_file, wav_stream
    from voiceclone.devices import choose_device
    from voiceclone.text.g2p import LANGUAGES, notice_of
    from voiceclone.text.pieces import LeftOut
    from voiceclone.voice.speaking import check_speed, deliver, speak

    check_speed(options.speed)
    device = choose_device(options.device)
    started = time.perf_counter()
    pack, base = _voice_and_base(options, reporter)
    base.kmodel.to(device)
    pipeline = base.pipeline(options.lang, offline=options.offline)
    if notice := notice_of(pipeline):
        reporter.warn(notice)
    left_out = LeftOut()
    load_seconds = time.perf_counter() - started
    opened = wav_stream(output.buffer) if options.out == STDOUT else wav_file(Path(options.out))
    with opened as write, reporter.task("Speaking", unit="piece") as task:

        def write_piece(audio: Any) -> None:
            write(audio)
            task.advance(1)

        pieces = speak(pipeline, text, pack.tensor, speed=options.speed, seed=options.seed, left_out=left_out)
        delivery = deliver(pieces, write_piece)
    for warning in left_out.warnings(LANGUAGES[pipeline.lang_code]):
        reporter.warn(warning)
    return {
        "out": options.out,
        "voice": options.voice,
        "base": base.title,
        "seconds": round(delivery.seconds, 3),
        "pieces": delivery.pieces,
        "unspoken": left_out.texts,
        "unknown_symbols": sorted(left_out.symbols),
        "real_time_factor": round(delivery.real_time_factor, 3),
        "first_audio_seconds": round(delivery.first_audio_seconds, 3),
        "load_seconds": round(load_seconds, 3),
        "device": str(device),
    }


def _voice_and_base(options: argparse.Namespace, reporter: Reporter) -> tuple[VoicePack, Base]:
    """The voice first, since a wrong path should be said before a model is loaded."""
    from voiceclone.models.base import NANO, load_base
    from voiceclone.voice.lookup import VoiceFinder
    from voiceclone.voice.origin import base_for, misfits

    chosen = base_for(options.voice, options.base)

    @cache
    def base() -> Base:
        return load_base(chosen, offline=options.offline, notice=reporter.info)

    where = "the base" if chosen == "auto" else f"--base {chosen}"
    pack = VoiceFinder(lambda: base().stock_voices, where=where).find(options.voice)
    if base().kind == NANO and chosen == "auto":
        reporter.warn("the real Kokoro is not here and no source of it answered: speaking with the nano base")
    for line in misfits(options.voice, base()):
        reporter.warn(line)
    return pack, base()


def _text(options: argparse.Namespace) -> str:
    """What to say, from the command line, a file or standard input."""
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


def _check_out(options: argparse.Namespace) -> None:
    """Refuse what cannot or must not be written, before any work is done."""
    if options.out == STDOUT:
        if sys.stdout.isatty():
            raise UsageError("--out -: standard output is a terminal: send it to a file or to a player")
        return
    out = Path(options.out)
    if out.suffix.lower() != ".wav":
        raise UsageError(f"--out {out}: say writes WAV: give a name that ends in .wav, or - for standard output")
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: choose another --out, or replace it with --overwrite")
