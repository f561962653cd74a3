"""``voiceclone zero-shot``: a voice from a few seconds of speech, without training."""

from __future__ import annotations

import argparse

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cloning.zero_shot_config import ZeroShotConfig
from voiceclone.system.settings import add_flags, given, words_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``zero-shot``."""
    parser.add_argument("clips", nargs="+", metavar="CLIP", help=words_of(ZeroShotConfig, "clips"))
    switch = {"action": "store_true"}
    add_flags(
        parser, ZeroShotConfig, name={}, out={}, base={}, lang={}, seed={"type": int}, consent={}, overwrite=switch,
        offline=switch,
    )  # fmt: skip
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Make the voice; the exit code."""
    from voiceclone.cloning.zero_shot import zero_shot
    from voiceclone.tracking.progress import Reporter

    config = given(ZeroShotConfig, options, clips=tuple(options.clips))
    zero_shot(config, Reporter(verbosity=verbosity(options)))
    return 0
