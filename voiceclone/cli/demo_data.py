"""``voiceclone demo-data``: synthesise a small dataset with eSpeak-NG for first tests."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``demo-data``."""
    parser.add_argument("--out", type=Path, default=Path("datasets/demo"), help="folder (default: datasets/demo)")
    parser.add_argument("--clips", type=int, default=12, help="number of clips, 4 to 24 (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of sentences (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the folder")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Make the dataset."""
    from voiceclone.data.demo import make_demo_dataset
    from voiceclone.tracking.progress import Reporter

    folder = make_demo_dataset(options.out, clips=options.clips, seed=options.seed, overwrite=options.overwrite)
    Reporter(verbosity=verbosity(options)).info(f"demo dataset: {folder}")
    return 0
