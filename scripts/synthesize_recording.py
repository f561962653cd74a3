#!/usr/bin/env python3
"""Speak one long recording with eSpeak-NG, with the times of its characters, for scripts/mamba_conv/main_runner.py.

    python scripts/synthesize_recording.py --text sentences.txt --out recording --minutes 10

Writes ``OUT/speech.wav`` and ``OUT/speech_transcription.json``.
"""

from __future__ import annotations

from script import add_text, parser_of, run


def main() -> int:
    """Parse, speak, report; the exit code."""
    parser = parser_of(__doc__)
    add_text(parser)
    parser.add_argument("--voice", default="en-us+m7", help="eSpeak-NG's name (default: en-us+m7)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length (default: 10)")
    options = parser.parse_args()

    import numpy as np

    from voiceclone.audio.features import SAMPLE_RATE
    from voiceclone.audio.io import resample, write_wav
    from voiceclone.base_training.recording_synthesis import synthesize_recording
    from voiceclone.base_training.synthesis import SynthesisConfig, read_corpus_sentences
    from voiceclone.files import write_json

    sentences = read_corpus_sentences(options.text, SynthesisConfig().max_characters)
    order = np.random.default_rng(options.seed).permutation(len(sentences))
    made = synthesize_recording([sentences[i] for i in order], [options.voice], seconds=60 * options.minutes)
    options.out.mkdir(parents=True, exist_ok=True)
    write_wav(options.out / "speech.wav", resample(made.audio, made.sample_rate, SAMPLE_RATE))
    write_json(options.out / "speech_transcription.json", {"character_alignments": made.timed_characters()})
    print(f"{len(made.spans)} sentences, {len(made.audio) / made.sample_rate / 60:.1f} minutes")
    return 0


if __name__ == "__main__":
    run(main)
