"""``voiceclone inspect``: look at a voice file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from voiceclone.cli.clone import add_verbosity

ROWS_SHOWN = (1, 6, 21, 51, 101, 201, 301, 510)  # phoneme counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``inspect``."""
    parser.add_argument("voice", metavar="FILE", type=Path, help="a .pt voice")
    parser.add_argument("--base", default=None, help="nano, kokoro or a base folder: compare with its stock voices")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Print shape, norms by row and the health verdict."""
    from voiceclone.voice.health import HealthRange
    from voiceclone.voice.pack import VoicePack

    pack = VoicePack.load(options.voice)
    expected = HealthRange.official()
    if options.base:
        from voiceclone.models.base import load_base

        expected = HealthRange.of(load_base(options.base, offline=options.offline).stock_voices.values())
    facts = describe(pack, expected)
    print(json.dumps(facts, indent=2) if options.json else _as_text(facts))
    return 0


def describe(pack: Any, expected: Any) -> dict[str, Any]:
    """Everything ``inspect`` says about a voice, JSON-able."""
    from voiceclone.voice.health import examine

    health = examine(pack, expected)
    return {
        "name": pack.name,
        "shape": list(pack.tensor.shape),
        "dtype": str(pack.tensor.dtype).removeprefix("torch."),
        "norms": [
            {
                "phonemes": count,
                "acoustic": round(float(pack.acoustic[count - 1].norm()), 3),
                "prosodic": round(float(pack.prosodic[count - 1].norm()), 3),
            }
            for count in ROWS_SHOWN
        ],
        "largest_value": round(float(pack.tensor.abs().max()), 3),
        "norm": round(health.norm, 3),
        "spread": round(health.spread, 4),
        "compared_with": expected.source,
        "healthy": health.healthy,
        "reasons": list(health.reasons),
    }


def _as_text(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['name']}: {tuple(facts['shape'])} {facts['dtype']}, largest value {facts['largest_value']}",
        "phonemes  acoustic norm  prosodic norm",
        *(f"{row['phonemes']:8d}  {row['acoustic']:13.2f}  {row['prosodic']:13.2f}" for row in facts["norms"]),
        f"rows from 101 on: norm {facts['norm']:.2f}, spread {facts['spread']:.3f}",
        f"health: {'within' if facts['healthy'] else 'OUTSIDE'} the range of {facts['compared_with']}",
        *(f"  - {reason}" for reason in facts["reasons"]),
    ]
    return "\n".join(lines)
