"""``voiceclone voices``: list own and stock voices."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from voiceclone.cli.clone import add_verbosity

STOCK = "stock"
COLUMNS = ("voice", "kind", "base", "date", "likeness")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``voices``."""
    parser.add_argument("--out", type=Path, default=Path("output"), help="folder of the voices (default: output)")
    parser.add_argument(
        "--base", default="auto", help="whose stock voices are listed: auto, kokoro, nano, the folder of a base, or a "
        "Kokoro ONNX file (default: auto)"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """List the voices of the output folder, newest first, and the stock voices of the base; no model is loaded."""
    voices = list_voices(options.out, options.base, offline=options.offline)
    if options.json:
        print(json.dumps({"out": str(options.out), "voices": voices}, indent=2))
    else:
        print(_as_text(voices, options.out))
    return 0


def list_voices(out: Path, base: str, *, offline: bool) -> list[dict[str, Any]]:
    """Everything that ``voices`` lists, JSON-able: own voices, then stock voices.

    Raises:
        UsageError: no such base.
        VoicecloneError: the base's voices cannot be read.
    """
    from voiceclone.bases.stock_names import AUTO, KOKORO, checked_base, planned_base, stock_names
    from voiceclone.voice.library import own_voices

    planned = planned_base(checked_base(base), offline=offline)
    planned = KOKORO if planned == AUTO else planned  # the result if a source answers
    names = stock_names(planned)
    if names is None:
        from voiceclone.bases.base import load_stock_voices

        names = tuple(load_stock_voices(planned))
    unknown = dict.fromkeys(("base_kind", "base_sha256", "space", "date", "likeness"))
    stock = [{"name": name, "file": None, "kind": STOCK, "base": str(planned), **unknown} for name in names]
    return [*(voice.as_json() for voice in own_voices(out)), *stock]


def _as_text(voices: list[dict[str, Any]], out: Path) -> str:
    """A table of the own voices, then the stock voices in lines of names."""
    import textwrap

    own = [voice for voice in voices if voice["kind"] != STOCK]
    stock = [voice for voice in voices if voice["kind"] == STOCK]
    lines = _table(own) if own else [f"no voices in {out}: make one with voiceclone clone"]
    if stock:
        lines += ["", f"{len(stock)} stock voices of --base {stock[0]['base']}:"]
        lines += textwrap.wrap("  ".join(v["name"] for v in stock), 100, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)


def _table(own: list[dict[str, Any]]) -> list[str]:
    rows = [COLUMNS]
    for voice in own:
        likeness = "" if voice["likeness"] is None else f"{voice['likeness']:.2f}"
        rows.append((voice["file"], voice["kind"], voice["base"] or "not known", voice["date"], likeness))
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
