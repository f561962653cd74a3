#!/usr/bin/env python3
"""Likeness, word errors and opinion scores of a finished clone at several fidelities.

    python benchmarks/fidelity.py --base kokoro --run output/v --data SPEECH/librispeech_1688

The voice is moved between the initialization of its training (0) and the trained voice (1), as `voiceclone fidelity`
does. Sentences, judges and columns are those of real_kokoro.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from real_kokoro import COLUMNS, Judges, dataset_of, speak

from voiceclone.bases.base import load_base
from voiceclone.cloning.fidelity import at_fidelity
from voiceclone.errors import VoicecloneError


def main() -> int:
    """Parse, speak, measure, print one row per fidelity."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--run", type=Path, required=True, help="output folder of a finished clone")
    parser.add_argument("--data", type=Path, required=True, help="the dataset it was made from")
    parser.add_argument("--fidelities", type=float, nargs="+", default=[0.0, 0.25, 0.5, 0.75, 1.0])
    options = parser.parse_args()
    try:
        base = load_base(options.base, offline=True)
        judges = Judges(dataset_of(options.run, options.data, base))
        print(f"| {options.run.name} on {base.title}, fidelity | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
        for fidelity in options.fidelities:
            pack = at_fidelity(options.run / f"{options.run.name}.pt", fidelity)
            print(judges.row(f"{fidelity:g}", speak(base, pack)), flush=True)
    except VoicecloneError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
