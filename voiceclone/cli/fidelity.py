"""``voiceclone fidelity``: a finished clone nearer to the speaker, or more natural, without training."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cli.output_files import check_voice_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``fidelity``."""
    parser.add_argument("voice", type=Path, metavar="VOICE", help="OUT/NAME/NAME.pt of a finished clone")
    parser.add_argument(
        "fidelity",
        type=float,
        metavar="0-1",
        help="0: the blend of stock voices where training began (most natural), 1: the trained voice (most like the "
        "speaker)",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.pt", help="where the voice goes")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Check the output file, move the voice, save it."""
    check_voice_path(options.out, overwrite=options.overwrite)
    from voiceclone.cloning.fidelity import at_fidelity
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.origin import provenance_of_mix

    pack = at_fidelity(options.voice, options.fidelity)
    facts = provenance_of_mix([str(options.voice)], f"{options.voice.name} at fidelity {options.fidelity:g}")
    pack.save(options.out, provenance={options.out.stem: facts})
    Reporter(verbosity=verbosity(options)).info(f"voice: {options.out}")
    return 0
