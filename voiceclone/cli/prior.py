"""``voiceclone prior``: pre-train the projection of a base, and measure its stock voices."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.tracking.progress import Reporter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    from voiceclone.cli.clone import add_verbosity

    parser.add_argument(
        "--base", default="auto", help="auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file (default: auto)"
    )
    parser.add_argument("--out", help="file to write (default: the cache, where clone finds it)")
    parser.add_argument("--voices", type=int, default=300, help="made-up voices to learn from (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Synthesise, encode, train, save; returns the exit code."""
    from voiceclone.bases.base import load_base
    from voiceclone.cli.clone import verbosity
    from voiceclone.projection.prior import PriorConfig, cache_path, fit_prior, make_pairs, save_prior
    from voiceclone.projection.stock_table import FILE as TABLE
    from voiceclone.projection.stock_table import table_cache_path
    from voiceclone.text.g2p import Phonemizer
    from voiceclone.tracking.progress import Reporter

    reporter = Reporter(verbosity=-1 if options.json else verbosity(options))
    base = load_base(options.base, offline=options.offline)
    config = PriorConfig(voices=options.voices, seed=options.seed)
    with reporter.task("Speaking with made-up voices", total=config.voices, unit="voice") as task:
        phonemize = Phonemizer("a", offline=options.offline).phonemes
        styles, vectors = make_pairs(base, config, phonemize, advance=lambda: task.advance(1))
    projection, explained = fit_prior(styles, vectors, config)
    path = Path(options.out) if options.out else cache_path(base)
    save_prior(projection, path)
    table = Path(options.out).with_name(TABLE) if options.out else table_cache_path(base)
    _measure_stock_voices(base, table, phonemize, reporter)
    if options.json:
        print(json.dumps({"file": str(path), "base": base.name, "explained": explained}))
    else:
        shares = ", ".join(f"{100 * share:.0f} % of the {half}" for half, share in explained.items())
        reporter.info(f"explains {shares} of voices it was not fitted to")
        reporter.info(f"prior: {path}")
    return 0


def _measure_stock_voices(base: Base, path: Path, phonemize: Callable[[str], str], reporter: Reporter) -> None:
    """Write the table of the base's stock voices, if the speaker encoder is installed."""
    import torch

    from voiceclone.models.frozen_kokoro import FrozenKokoro
    from voiceclone.nets.resemblyzer import INSTALL, load_resemblyzer
    from voiceclone.projection.stock_table import measure_stock

    encoder = load_resemblyzer()
    if encoder is None:
        reporter.info(f"no table of stock voices: Resemblyzer is not installed ({INSTALL})")
        return
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    with reporter.task("Measuring stock voices", total=len(base.stock_voices), unit="voice") as task:
        table = measure_stock(kokoro, base.stock_voices, encoder, phonemize, advance=lambda: task.advance(1))
    table.save(path)
    reporter.info(f"table of stock voices: {path}")
