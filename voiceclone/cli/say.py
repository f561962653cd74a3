"""``voiceclone say``: speak a text with a voice."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``say``."""
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    parser.add_argument("--voice", required=True, metavar="FILE|NAME", help="a .pt voice or a stock voice's name")
    parser.add_argument("--base", default="auto", help="auto, kokoro, nano, or the folder of a base (default: auto)")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.wav", help="where the speech goes")
    parser.add_argument("--lang", default="a", help="Kokoro's language code (default: a)")
    parser.add_argument("--speed", type=float, default=1.0, help="times the voice's own rate (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sound source's noise (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Speak, write the wav, report the real-time factor."""
    text = sys.stdin.read() if options.text == "-" else options.text
    if not text.strip():
        raise UsageError("nothing to say: TEXT is empty")
    if options.out.exists() and not options.overwrite:
        raise UsageError(f"{options.out} exists: choose another --out, or replace it with --overwrite")
    from voiceclone.audio.io import write_wav
    from voiceclone.models.base import NANO, load_base
    from voiceclone.text.g2p import notice_of
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.pack import VoicePack
    from voiceclone.voice.speaking import seconds, speak_whole

    reporter = Reporter(verbosity=verbosity(options))
    file = Path(options.voice)
    pack = VoicePack.load(file) if file.suffix == ".pt" or file.is_file() else None
    base = load_base(options.base, offline=options.offline)
    if base.kind == NANO and options.base == "auto":
        reporter.warn("the real Kokoro is not cached and the Hub did not answer: speaking with the nano base")
    if pack is None:
        if options.voice not in base.stock_voices:
            names = ", ".join(sorted(base.stock_voices)) or "none"
            raise UsageError(f"no voice '{options.voice}': give a .pt file or a stock voice of {base.name} ({names})")
        pack = base.stock_voices[options.voice]
    pipeline = base.pipeline(options.lang, offline=options.offline)
    if notice := notice_of(pipeline):
        reporter.warn(notice)
    started = time.perf_counter()
    audio = speak_whole(pipeline, text, pack.tensor, speed=options.speed, seed=options.seed)
    factor = (time.perf_counter() - started) / seconds(audio)
    write_wav(options.out, audio)
    reporter.info(f"{options.out}: {seconds(audio):.1f} s of speech, real-time factor {factor:.2f}")
    return 0
