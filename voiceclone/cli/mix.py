"""``voiceclone mix``: a new voice out of others."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``mix``."""
    parser.add_argument(
        "expression",
        metavar="EXPR",
        help='"0.7*v.pt + 0.3*af_heart", or half by half: "timbre(v.pt) + prosody(am_adam)"',
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.pt", help="where the voice goes")
    parser.add_argument(
        "--base", default="auto", help="auto, nano, kokoro or a base folder: for names in EXPR that are no files"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Parse, load, mix, save; warn where the result is unlike a real voice."""
    from voiceclone.voice.mixing import blend, parse

    mix = parse(options.expression)
    if options.out.suffix != ".pt":
        raise UsageError(f"--out {options.out}: the file of a voice ends in .pt")
    if options.out.exists() and not options.overwrite:
        raise UsageError(f"{options.out} exists: choose another --out, or replace it with --overwrite")
    from voiceclone.models.base import load_stock_voices
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.health import HealthRange, examine
    from voiceclone.voice.lookup import VoiceFinder

    reporter = Reporter(verbosity=verbosity(options))
    finder = VoiceFinder(
        lambda: load_stock_voices(options.base, offline=options.offline), where=f"--base {options.base}"
    )
    pack = blend(mix, finder.single, options.out.stem)
    expected = finder.used if options.base == "auto" else finder.stock
    for reason in examine(pack, HealthRange.of(expected.values())).reasons:
        reporter.warn(f"the voice looks unusual: {reason}")
    pack.save(options.out)
    reporter.info(f"voice: {options.out}")
    return 0
