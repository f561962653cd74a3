"""``voiceclone mix``: mix voices to a new one."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cli.output_files import check_voice_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``mix``."""
    parser.add_argument(
        "expression",
        metavar="EXPR",
        help='"0.7*v.pt + 0.3*af_heart", half by half: "timbre(v.pt) + prosody(am_adam)", or a list of weights: '
        '"af_bella(2)+af_sky(1)", "af_heart:60,am_adam:40", "af_bella,af_sky"',
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.pt", help="the new .pt file")
    parser.add_argument(
        "--base", default="auto", help="auto, nano, kokoro or a base folder: for names in EXPR that are not files"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Parse, load, mix, save; warn if the result is outside the range of real voices."""
    check_voice_path(options.out, overwrite=options.overwrite)
    from voiceclone.bases.finder import facts_of_custom_base, finder_of
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.health import HealthRange, examine
    from voiceclone.voice.lookup import names_in
    from voiceclone.voice.origin import base_for, misfits, provenance_of_mix

    reporter = Reporter(verbosity=verbosity(options))
    chosen = base_for(options.expression, options.base)
    finder = finder_of(chosen)
    pack = finder.find(options.expression)
    expected = finder.used if chosen == "auto" else finder.stock
    for line in misfits(options.expression, chosen):
        reporter.warn(line)
    for reason in examine(pack, HealthRange.of(expected.values())).reasons:
        reporter.warn(f"the voice looks unusual: {reason}")
    facts = provenance_of_mix(names_in(options.expression), options.expression) | facts_of_custom_base(chosen)
    pack.save(options.out, provenance={options.out.stem: facts})
    reporter.info(f"voice: {options.out}")
    return 0
