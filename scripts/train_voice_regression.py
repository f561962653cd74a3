#!/usr/bin/env python3
"""Fit the regression of Kokoro's voices on style, speaker vector and F0, on Kokoro's own speech.

    python scripts/speak_with_teacher.py --text sentences.txt --out speech --utterances 2500
    python scripts/train_voice_regression.py --speech speech --out voiceclone/models/assets/kokoro

Writes voice_regression.safetensors and voice_regression.json with the explained variance of unseen voices. Needs
Resemblyzer. The fit takes a second, measuring the speech some minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from script import parser_of, run

if TYPE_CHECKING:
    from voiceclone.base_training.voice_regression_fitting import MeasuredSpeech


def main() -> int:
    """Measure, fit, test, write; the exit code."""
    options = _options()
    from voiceclone.base_training.voice_regression_fitting import RIDGE, explained_variance, fit_voice_regression
    from voiceclone.files import write_json
    from voiceclone.style.voice_regression import FILE

    speech = _measured(options.speech)
    options.out.mkdir(parents=True, exist_ok=True)
    fit_voice_regression(speech).save(options.out / FILE.name)
    explained = explained_variance(speech)
    facts = {"utterances": len(speech), "ridge": RIDGE, "explained_variance_of_unseen_voices": explained}
    write_json((options.out / FILE.name).with_suffix(".json"), facts)
    print(json.dumps(facts, indent=2))
    return 0


def _measured(folder: Path) -> MeasuredSpeech:
    from voiceclone.base_training.teacher import utterance_numbers
    from voiceclone.base_training.voice_regression_fitting import measure_speech
    from voiceclone.bases.base import kokoro_encoders
    from voiceclone.nets.resemblyzer import required_resemblyzer
    from voiceclone.tracking.progress import Reporter

    encoder = required_resemblyzer()
    with Reporter().task("Measuring", total=len(utterance_numbers(folder)), unit="utterance") as task:
        return measure_speech(folder, kokoro_encoders(), encoder, lambda: task.advance(1))


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="folder written by speak_with_teacher.py")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
