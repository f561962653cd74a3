"""What the scripts of this folder have in common: their arguments, log lines, and one line for an error."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from voiceclone.errors import VoicecloneError, shown, speaking_of_flags


def parser_of(doc: str, *, out: Path | None = None, out_help: str | None = None) -> argparse.ArgumentParser:
    """A parser with what every script takes: ``--out`` and ``--seed``.

    Args:
        doc: the script's own; its first line is the description.
        out: the default; None where it must be given.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--out", type=Path, default=out, required=out is None, help=out_help)
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    return parser


def add_text(parser: argparse.ArgumentParser) -> None:
    """``--text``, of the scripts that speak."""
    parser.add_argument("--text", type=Path, required=True, help="public-domain text, one sentence a line, UTF-8")


def run(main: Callable[[], int]) -> NoReturn:
    """Run a script: what the package logs goes to standard error, an error is one line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with speaking_of_flags():
        try:
            sys.exit(main())
        except VoicecloneError as error:
            print(f"error: {shown(error)}", file=sys.stderr)
            sys.exit(error.exit_code)
