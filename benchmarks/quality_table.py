"""The table of ``quality.py``: means over speakers and seeds, wins, and the share of the gap that clones close."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

TRAINED, UNTRAINED = "resemblyzer", "xvector"
RIVALS = ("best_stock", "best_blend", "zero_shot", "plain_recipe", "random_walk")
KINDS = ("synthetic", "real")
HEAD = "| speakers | voice | n | resemblyzer | xvector | true speaker first | F0 st | rate % | MCD dB | PER % | s |"


def table(results: Path) -> str:
    """Everything under ``results``, as Markdown."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        for voice, values in row["voices"].items():
            if not row["without"]:
                groups[kind_of(row), voice].append((row, values, row["rank"].get(voice)))
            elif voice == "clone":
                groups[kind_of(row), f"clone without {row['without']}"].append((row, values, row["rank"].get(voice)))
    lines = [HEAD, "|---" * HEAD.count(" |") + "|"]
    lines += [_line(kind, label, found) for (kind, label), found in sorted(groups.items())]
    whole = [row for row in rows if not row["without"]]
    return "\n".join([*lines, "", *(line for kind in KINDS for line in _wins(kind, whole))])


def kind_of(row: dict[str, Any]) -> str:
    """The kind of a speaker: names of recorded ones begin with their corpus."""
    return "real" if row["speaker"].startswith(("librispeech_", "ljspeech_", "vctk_")) else "synthetic"


def _line(kind: str, label: str, found: list[Any]) -> str:
    def mean(key: str, factor: float = 1.0) -> float:
        return factor * _mean(values.get(key) for _, values, _ in found)

    ranks = [rank for _, _, rank in found if rank]
    cells = [
        *(f"{_mean(similarity(values, encoder) for _, values, _ in found):.3f}" for encoder in (TRAINED, UNTRAINED)),
        f"{100 * float(np.mean([rank == 1 for rank in ranks])):.0f} %" if ranks else "nan",
        f"{mean('f0_error_semitones'):.2f}",
        f"{mean('rate_error_percent'):.1f}",
        f"{mean('mcd_db'):.1f}",
        f"{mean('phone_error_rate', 100.0):.1f}",
        f"{_mean(row['seconds'] for row, _, _ in found):.0f}" if label.startswith("clone") else "nan",
    ]
    return f"| {kind} | {label} | {len(found)} | " + " | ".join(cell.replace("nan", "–") for cell in cells) + " |"


def _wins(kind: str, rows: list[dict[str, Any]]) -> list[str]:
    lines, own = [], [row["voices"] for row in rows if kind_of(row) == kind]
    for rival in RIVALS:
        both = [voices for voices in own if rival in voices]
        if both:
            better = {
                encoder: [similarity(v["clone"], encoder) > similarity(v[rival], encoder) for v in both]
                for encoder in (TRAINED, UNTRAINED)
            }
            each = sum(a and b for a, b in zip(better[TRAINED], better[UNTRAINED]))
            lines.append(
                f"- {kind}: the clone beats {rival} by both encoders for {each} of {len(both)}, by the untrained one "
                f"for {sum(better[UNTRAINED])}"
            )
    with_oracle = [voices for voices in own if "oracle" in voices]
    if with_oracle:
        ours, stock, oracle = (
            _mean(similarity(v[name], UNTRAINED) for v in with_oracle) for name in ("clone", "best_stock", "oracle")
        )
        share = f"{100 * (ours - stock) / (oracle - stock):.0f} %" if oracle > stock else "no figure"
        lines.append(
            f"- {kind}: {share} of the gap between best stock voice ({stock:.3f}) and oracle ({oracle:.3f}) closed "
            "by the clone, untrained encoder"
        )
    return lines


def similarity(values: dict[str, Any], encoder: str) -> float:
    """Mean similarity of a voice by an encoder; NaN where it was not measured."""
    mean: float | None = values["similarity"].get(encoder, {}).get("mean")
    return math.nan if mean is None else mean


def _mean(values: Iterable[float | None]) -> float:
    kept = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(kept)) if kept else float("nan")
