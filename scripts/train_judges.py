#!/usr/bin/env python3
"""Train and measure the package's phone recogniser and speaker encoder.

    python scripts/train_judges.py --run WORK/run --facts scripts/from_scratch_facts.json --clips CLIPS

RUN is the folder of a ``train-base`` run: its cached corpora hold the speech with its phonemes, training and held out.
CLIPS holds further speakers for the speaker encoder, one recording each, named SPEAKER-... . Weights, provenance and
measures go to OUT as ``recognizer`` and ``speaker_net``, ``.safetensors`` and ``.json``.
"""

from __future__ import annotations

import json
from pathlib import Path

from script import parser_of, run

ASSETS = Path(__file__).resolve().parents[1] / "voiceclone" / "nets" / "assets" / "judges"


def main() -> int:
    """Parse, train, measure, write; the exit code."""
    parser = parser_of(__doc__, out=ASSETS)
    parser.add_argument("--run", type=Path, required=True, help="folder of a train-base run with its cache")
    parser.add_argument("--facts", type=Path, required=True, help="the base's facts; names the recorded speakers")
    parser.add_argument("--clips", type=Path, required=True, help="folder with one recording for each further speaker")
    parser.add_argument("--only", choices=("recognizer", "speaker_net"), help="train one of the two")
    parser.add_argument("--recognizer-steps", type=int, default=2400)
    parser.add_argument("--speaker-steps", type=int, default=1500)
    options = parser.parse_args()

    from voiceclone.base_training.facts import read_facts
    from voiceclone.base_training.judges_material import JudgeMaterial, make_recognizer, make_speaker_net
    from voiceclone.base_training.judges_training import JudgeTraining

    makers = {"recognizer": make_recognizer, "speaker_net": make_speaker_net}
    steps = {"recognizer": options.recognizer_steps, "speaker_net": options.speaker_steps}
    material = JudgeMaterial.read(options.run / "cache", options.clips, read_facts(options.facts).recorded_speakers)
    for name in makers if options.only is None else [options.only]:
        config = JudgeTraining(steps=steps[name], seed=options.seed)
        info = makers[name](material, config, options.out)
        print(json.dumps({name: info["measured"]}, indent=2))
    return 0


if __name__ == "__main__":
    run(main)
