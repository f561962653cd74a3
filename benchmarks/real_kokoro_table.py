#!/usr/bin/env python3
"""Means over speakers of what real_kokoro.py measured, the clones' own errors, each speaker, wins against each rival.

    python benchmarks/real_kokoro.py --base kokoro --run output/NAME --data SPEECH/NAME --others SPEECH/* --results WORK
    python benchmarks/real_kokoro_table.py WORK

Several seeds of a speaker are averaged first. *Scaled* is likeness between the recordings of other speakers (0) and the
speaker's own held-out ones (1). Beside the clone's errors of F0 and rate on held-out clips are those of a voice with
the median pitch and rate of the training clips.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from real_kokoro import COLUMNS, ENCODERS, row_of

RECORDINGS, STRANGERS, CLONE = "held-out recordings", "recordings of other speakers", "clone"
ERRORS = {
    "f0_error_semitones": "F0, semitones",
    "f0_of_clips_semitones": "F0 of the training clips",
    "rate_error_percent": "rate, %",
    "rate_of_clips_percent": "rate of the training clips",
    "seconds": "seconds",
}


def main() -> int:
    """Read the results, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    results = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(parser.parse_args().results.glob("*.json"))
    ]
    if not results:
        parser.error("no results there: run real_kokoro.py with --results first")
    print("\n".join(tables(results)))
    return 0


def tables(results: list[dict[str, Any]]) -> list[str]:
    """The lines of all tables, for the dictionaries that real_kokoro.py wrote."""
    by_speaker = defaultdict(list)
    for result in results:
        by_speaker[result["speaker"]].append(result)
    means = {speaker: _voices(found) for speaker, found in sorted(by_speaker.items())}
    names = sorted({name for voices in means.values() for name in voices}, key=lambda name: (name != CLONE, name))
    lines = [
        f"| {len(means)} speakers, {len(results)} clones | {' | '.join(COLUMNS)} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name in names:
        having = [voices[name] for voices in means.values() if name in voices]
        label = name if len(having) == len(means) else f"{name} ({len(having)} speakers)"
        lines.append(row_of(label, _mean(having)))
    scaled = {speaker: _scaled(voices) for speaker, voices in means.items()}
    heads = ["speaker", "seeds", *(f"{encoder}, scaled" for encoder in ENCODERS), *ERRORS.values()]
    lines += ["", f"| {' | '.join(heads)} |",
              "|---" * (2 + len(ENCODERS) + len(ERRORS)) + "|"]  # fmt: skip
    known = [key for key in ERRORS if all(key in result for result in results)]  # older results lack some
    errors = {speaker: _mean(found, known) for speaker, found in sorted(by_speaker.items())}
    for speaker, found in errors.items():
        lines.append(_errors(speaker, str(len(by_speaker[speaker])), scaled[speaker], found))
    lines.append(_errors("mean", "", _mean(scaled.values()), _mean(errors.values())))
    lines += ["", f"| speaker | voice | {' | '.join(COLUMNS)} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for speaker, voices in means.items():
        lines += [row_of(f"{speaker} | {name}", voices[name]) for name in names if name in voices]
    rivals = [name for name in names if name not in (CLONE, RECORDINGS, STRANGERS)]
    return [*lines, "", *(_wins(rival, means) for rival in rivals)]


def _voices(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The measures of each voice of a speaker, averaged over the seeds."""
    names = {name for result in results for name in result["voices"]}
    return {name: _mean([r["voices"][name] for r in results if name in r["voices"]]) for name in names}


def _scaled(voices: dict[str, dict[str, float]]) -> dict[str, float]:
    if STRANGERS not in voices:
        return {}
    ours, own, far = voices[CLONE], voices[RECORDINGS], voices[STRANGERS]
    return {encoder: (ours[encoder] - far[encoder]) / (own[encoder] - far[encoder]) for encoder in ENCODERS}


def _mean(rows: Iterable[dict[str, Any]], keys: Iterable[str] = ()) -> dict[str, float]:
    rows = [row for row in rows if row]
    keys = list(keys) or list(rows[0] if rows else ())
    return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def _errors(speaker: str, seeds: str, scaled: dict[str, float], errors: dict[str, float]) -> str:
    likeness = [f"{scaled[encoder]:.2f}" if scaled else "-" for encoder in ENCODERS]
    cells = [*likeness, *(f"{errors[key]:.2f}" if key in errors else "-" for key in ERRORS)]
    return f"| {speaker} | {seeds} | {' | '.join(cells)} |"


def _wins(rival: str, means: dict[str, dict[str, dict[str, float]]]) -> str:
    """For how many speakers the clone is nearer than a rival by each encoder, and by all of them."""
    pairs = [(voices[CLONE], voices[rival]) for voices in means.values() if rival in voices]
    nearer = np.array([[ours[encoder] > theirs[encoder] for encoder in ENCODERS] for ours, theirs in pairs])
    cells = ", ".join(f"{encoder} {count}" for encoder, count in zip(ENCODERS, nearer.sum(0), strict=True))
    return f"nearer than {rival}: {nearer.all(1).sum()} of {len(pairs)} by all encoders ({cells})"


if __name__ == "__main__":
    sys.exit(main())
