"""``voiceclone zero-shot``: a voice from a few seconds of speech, without training."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``zero-shot``."""
    parser.add_argument(
        "clips", nargs="+", metavar="CLIP", help="sound files of one speaker, 5 s or more in all, or a dataset's folder"
    )
    parser.add_argument("--name", default="my_voice", help="name of the voice (default: my_voice)")
    parser.add_argument("--out", default="output", type=Path, help="output folder (default: output)")
    parser.add_argument("--base", default="auto", help="auto, kokoro, nano, or a base that shares Kokoro's voices")
    parser.add_argument("--lang", default="a", help="Kokoro's language code of the test sentence (default: a)")
    parser.add_argument("--seed", type=int, default=0, help="of the test sentence (default: 0)")
    parser.add_argument("--consent", default="", help="who agreed to the cloning, and how; recorded with the voice")
    parser.add_argument("--overwrite", action="store_true", help="replace a voice of this name")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Make the voice; the exit code."""
    from voiceclone.cloning.zero_shot import ZeroShotConfig, zero_shot
    from voiceclone.tracking.progress import Reporter

    config = ZeroShotConfig(
        clips=tuple(options.clips), name=options.name, out=options.out, base=options.base, lang=options.lang,
        seed=options.seed, consent=options.consent, overwrite=options.overwrite, offline=options.offline,
    )  # fmt: skip
    zero_shot(config, Reporter(verbosity=verbosity(options)))
    return 0
