"""What the scripts of this folder share: they run from a checkout, and say what is wrong in one line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from voiceclone.errors import VoicecloneError, speaking_of_flags


def run(work: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> int:
    """Parse, work, report; the exit code."""
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with speaking_of_flags():
            work(options)
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def train(*, several: bool, description: str) -> int:
    """The commands of ``train.py`` and ``train_ms.py``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("-c", "--config", type=Path, required=True, help="JSON file, as in the public implementation")
    parser.add_argument(
        "-m", "--model", required=True, help="name of the run: written to logs/NAME, and continued if it exists"
    )
    parser.add_argument("--steps", type=int, help="length of the run (default: the file's epochs)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")

    def work(options: argparse.Namespace) -> None:
        import torch

        from voiceclone.base_training.vits2.reference import train_reference

        device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        out = Path("logs") / options.model
        base = train_reference(options.config, out, several=several, steps=options.steps, device=device)
        print(f"base: {base}")

    return run(work, parser)
