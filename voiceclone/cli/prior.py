"""``voiceclone prior``: pre-train the projection of a base, once: it makes a voice of styles, without training."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    from voiceclone.cli.clone import add_verbosity

    parser.add_argument("--base", default="auto", help="auto, kokoro, nano, or the folder of a base (default: auto)")
    parser.add_argument("--out", help="file to write (default: the cache, where clone finds it)")
    parser.add_argument("--voices", type=int, default=300, help="made-up voices to learn from (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Speak, hear, fit, save; the exit code."""
    from pathlib import Path

    from voiceclone.cli.clone import verbosity
    from voiceclone.errors import UsageError
    from voiceclone.models.base import load_base
    from voiceclone.projection.prior import PriorConfig, cache_path, fit, make_pairs, save_prior
    from voiceclone.text.g2p import Phonemizer
    from voiceclone.tracking.progress import Reporter

    if options.voices < 20:
        raise UsageError(f"--voices {options.voices}: use 20 or more")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: use 0 or more")
    reporter = Reporter(verbosity=-1 if options.json else verbosity(options))
    base = load_base(options.base, offline=options.offline)
    config = PriorConfig(voices=options.voices, seed=options.seed)
    with reporter.task("Speaking with made-up voices", total=config.voices, unit="voice") as task:
        phonemize = Phonemizer("a", offline=options.offline).phonemes
        styles, vectors = make_pairs(base, config, phonemize, advance=lambda: task.advance(1))
    projection, explained = fit(styles, vectors, config)
    path = Path(options.out) if options.out else cache_path(base)
    save_prior(projection, path)
    if options.json:
        print(json.dumps({"file": str(path), "base": base.name, "explained": explained}))
    else:
        shares = ", ".join(f"{100 * share:.0f} % of the {half}" for half, share in explained.items())
        reporter.info(f"explains {shares} of voices it was not fitted to")
        reporter.info(f"prior: {path}")
    return 0
