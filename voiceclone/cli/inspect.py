"""``voiceclone inspect``: look at a voice."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cli.output_files import check_free
from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiceclone.voice.pack import VoicePack

ROWS_SHOWN = (1, 6, 21, 51, 101, 201, 301, 510)  # phoneme counts
NEIGHBOURS_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``inspect``."""
    parser.add_argument(
        "voice",
        metavar="VOICE",
        help="a file of a voice (FILE:NAME for one of several), a stock voice's name, or a mix: "
        '"0.7*v.pt + 0.3*af_heart", "af_bella(2)+af_sky(1)"',
    )
    parser.add_argument(
        "--base",
        help="nano, kokoro or a base folder whose stock voices the voice is compared with (default: the one that the "
        "report beside the voice names, otherwise Kokoro's voices)",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw row norms and a map of the stock voices")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing picture")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Print (and plot) shape, norms by row, nearest stock voices and the health check."""
    if options.plot is not None:
        if options.plot.suffix.lower() != ".png":
            raise UsageError(f"--plot {options.plot}: the picture is a PNG: give a name that ends in .png")
        check_free(options.plot, overwrite=options.overwrite, flag="--plot")
    from voiceclone.voice.lookup import VoiceFinder

    stock = _stock_voices(options)
    pack = VoiceFinder(lambda: stock, where=f"--base {options.base}" if options.base else "the base").find(
        options.voice
    )
    facts = describe(pack, stock)
    if options.plot is not None:
        from voiceclone.plotting.plots import save_figure
        from voiceclone.plotting.voice_plot import voice_figure
        from voiceclone.tracking.progress import Reporter

        save_figure(voice_figure(pack, stock, pack.name), options.plot)
        Reporter(verbosity=verbosity(options)).info(f"picture: {options.plot}")
    print(json.dumps(facts, indent=2) if options.json else _as_text(facts))
    return 0


def describe(pack: VoicePack, stock: Mapping[str, VoicePack]) -> dict[str, Any]:
    """Everything that ``inspect`` reports about a voice, JSON-able."""
    from voiceclone.voice.comparison import HALVES, cosine_to_reference, neighbours, norm_bands, row_norms
    from voiceclone.voice.health import HealthRange, examine

    expected = HealthRange.of(stock.values())
    health = examine(pack, expected)
    bands, source = norm_bands(stock)
    rows: list[dict[str, Any]] = [{"phonemes": count} for count in ROWS_SHOWN]
    for half in HALVES:
        norms, cosines, band = row_norms(pack, half), cosine_to_reference(pack, half), bands[half]
        for row in rows:
            at = row["phonemes"] - 1
            row[half] = {
                "norm": round(float(norms[at]), 3),
                "real_voices": [round(float(band.low[at]), 3), round(float(band.high[at]), 3)],
                "cosine_to_101": round(float(cosines[at]), 3),
            }
    nearest = {
        half: [
            {"name": other.name, "distance": round(other.distance, 3), "cosine": round(other.cosine, 3)}
            for other in neighbours(pack, stock, half)[:NEIGHBOURS_SHOWN]
        ]
        for half in HALVES
    }
    return {
        "name": pack.name,
        "shape": list(pack.tensor.shape),
        "dtype": str(pack.tensor.dtype).removeprefix("torch."),
        "largest_value": round(float(pack.tensor.abs().max()), 3),
        "rows": rows,
        "norm": round(health.norm, 3),
        "spread": round(health.spread, 4),
        "nearest": nearest,
        "compared_with": source,
        "healthy": health.healthy,
        "reasons": list(health.reasons),
    }


def _stock_voices(options: argparse.Namespace) -> Mapping[str, VoicePack]:
    """The stock voices of ``--base``; without it, of the base of the voice; never uses the network."""
    from voiceclone.bases.base import STOCK_KOKORO, load_stock_voices
    from voiceclone.voice.origin import known_base

    if options.base is not None:
        return load_stock_voices(options.base)
    return load_stock_voices(known_base(options.voice) or STOCK_KOKORO)


def _as_text(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['name']}: {tuple(facts['shape'])} {facts['dtype']}, largest value {facts['largest_value']}",
        "",
        "              timbre                        prosody",
        "phonemes      norm  real voices  cosine     norm  real voices  cosine",
        *(_row_text(row) for row in facts["rows"]),
        "(real voices: smallest and largest norm; cosine: to the row for 101 phonemes)",
        f"rows from 101 on: norm {facts['norm']:.2f}, spread {facts['spread']:.3f}",
        "",
    ]
    for half, others in facts["nearest"].items():
        names = ", ".join(f"{other['name']} {other['distance']:.2f} ({other['cosine']:.2f})" for other in others)
        lines.append(f"nearest in {half}: {names or 'no stock voices here: name a --base'}")
    if any(facts["nearest"].values()):
        lines.append("(distance, and cosine in brackets, over the rows from 101 on)")
    lines += [
        "",
        f"health: {'within' if facts['healthy'] else 'OUTSIDE'} the range of {facts['compared_with']}",
        *(f"  - {reason}" for reason in facts["reasons"]),
    ]
    return "\n".join(lines)


def _row_text(row: dict[str, Any]) -> str:
    cells = [f"{row['phonemes']:8d}"]
    for half in ("timbre", "prosody"):
        value = row[half]
        low, high = value["real_voices"]
        cells.append(f"{value['norm']:8.2f}  {low:4.2f} - {high:5.2f}  {value['cosine_to_101']:5.2f}")
    return "  ".join(cells)
