"""``voiceclone stock-table``: measure a base's stock voices, so that cloning tries only the nearest ones."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    from voiceclone.cli.clone import add_verbosity

    parser.add_argument(
        "--base", default="auto", help="auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file (default: auto)"
    )
    parser.add_argument("--out", type=Path, help="file to write (default: the cache, where clone finds it)")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Synthesise with every stock voice, measure, save."""
    import torch

    from voiceclone.bases.base import load_base
    from voiceclone.cli.clone import verbosity
    from voiceclone.errors import VoicecloneError
    from voiceclone.models.frozen_kokoro import FrozenKokoro
    from voiceclone.nets.resemblyzer import required_resemblyzer
    from voiceclone.projection.stock_table import measure_stock, table_cache_path
    from voiceclone.text.g2p import Phonemizer
    from voiceclone.tracking.progress import Reporter

    reporter = Reporter(verbosity=-1 if options.json else verbosity(options))
    base = load_base(options.base, offline=options.offline)
    if not base.stock_voices:
        raise VoicecloneError(f"{base.name} has no stock voices: there is nothing to measure")
    encoder = required_resemblyzer()
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    phonemize = Phonemizer("a").phonemes
    with reporter.task("Measuring stock voices", total=len(base.stock_voices), unit="voice") as task:
        table = measure_stock(kokoro, base.stock_voices, encoder, phonemize, advance=lambda: task.advance(1))
    path = options.out or table_cache_path(base)
    table.save(path)
    if options.json:
        print(json.dumps({"file": str(path), "base": base.name, "voices": list(table.names)}))
    else:
        reporter.info(f"table of {len(table.names)} stock voices: {path}")
    return 0
