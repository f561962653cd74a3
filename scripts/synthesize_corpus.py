#!/usr/bin/env python3
"""Speak a multi-speaker training corpus with eSpeak-NG.

    python scripts/synthesize_corpus.py --text sentences.txt --out corpus

Writes ``OUT/train`` and ``OUT/heldout`` (held-out speakers), AudioFolder datasets with a speaker column,
phonemes and exact durations.
"""

from __future__ import annotations

from script import add_text, parser_of, run


def main() -> int:
    """Parse, speak, report; the exit code."""
    parser = parser_of(__doc__)
    add_text(parser)
    parser.add_argument("--speakers", type=int, default=110)
    parser.add_argument("--held-out", type=int, default=10, help="held-out speakers")
    parser.add_argument("--sentences", type=int, default=20, help="sentences a speaker")
    options = parser.parse_args()

    from voiceclone.base_training.synthesis import SynthesisConfig, synthesize_corpus
    from voiceclone.models.presets import full_config
    from voiceclone.text.g2p import Phonemizer

    config = SynthesisConfig(
        speakers=options.speakers, held_out=options.held_out, sentences=options.sentences, seed=options.seed
    )
    counts = synthesize_corpus(options.text, options.out, config, Phonemizer("a").phonemes, full_config()["vocab"])
    print(f"{counts['utterances']} utterances, {counts['seconds'] / 3600:.2f} hours, {counts['dropped']} dropped")
    return 0


if __name__ == "__main__":
    run(main)
