#!/usr/bin/env python3
"""Train the style encoders of a base on the base's own speech.

    python scripts/train_style_encoders.py --text sentences.txt --out encoders --utterances 2000

Speaks OUT/speech (resumable: the same command continues), trains, and writes style_encoders.safetensors and
encoders.json with the figures. By default the base is the real Kokoro-82M and four English stock voices are kept out of
training; OUT/held_out holds their speech.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from script import add_text, parser_of, run
from speak_with_teacher import clauses_as_phonemes, read_lines, speak_corpus

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.style.encoders import StyleEncoders

HELD_OUT = ("af_nova", "am_eric", "bf_alice", "bm_fable")
HELD_OUT_UTTERANCES = 36


def main() -> int:
    """Speak, train, test, write; the exit code."""
    options = _options()
    from voiceclone.base_training.teacher import TeacherConfig
    from voiceclone.bases.base import load_base

    base = load_base(options.base)
    english = {name: base.stock_voices[name] for name in base.stock_voices if name.startswith(("a", "b"))}
    limits = (18, options.phonemes)
    speech, held = options.out / "speech", options.out / "held_out"
    config = TeacherConfig(held_out=HELD_OUT, phonemes=limits, seed=options.seed)
    texts = clauses_as_phonemes(read_lines(options.text), options.out / "phonemes", limits)
    speak_corpus(base, english, config, texts, speech, range(options.utterances), with_audio=True)
    kept_out = {name: english[name] for name in HELD_OUT}
    held_config = TeacherConfig(stock_share=1.0, phonemes=limits, seed=options.seed + 1)
    speak_corpus(base, kept_out, held_config, texts, held, range(HELD_OUT_UTTERANCES), with_audio=True)
    _train(base, options, speech, held)
    return 0


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_text(parser)
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--utterances", type=int, default=2000)
    parser.add_argument("--phonemes", type=int, default=46, help="length of the spoken texts at most")
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps")
    parser.add_argument("--init", type=Path, help="safetensors of a pair of the same widths to start from")
    return parser.parse_args()


def _train(base: Base, options: argparse.Namespace, speech_folder: Path, held_folder: Path) -> None:
    import torch

    from voiceclone.base_training.voice_encoders import EncoderTraining, read_speech, recovered, train_voice_encoders
    from voiceclone.files import write_json
    from voiceclone.models.checkpoint import save_state
    from voiceclone.models.presets import NANO_ENCODER
    from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders, load_style_encoders

    widths = StyleEncoderConfig(**NANO_ENCODER)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        encoders = build_style_encoders(widths) if options.init is None else load_style_encoders(options.init, widths)
    speech = read_speech(speech_folder)
    config = EncoderTraining(steps=options.steps, seed=options.seed)
    blends = train_voice_encoders(encoders, speech, config)
    stock = recovered(encoders, read_speech(held_folder), speech.vectors.mean(dim=0))
    stock |= spoken_again(base, encoders, held_folder)
    save_state(encoders, options.out / "style_encoders.safetensors", half=True)
    facts = {
        "base": base.name, "encoder": dict(NANO_ENCODER), "utterances": len(speech.mels), "steps": options.steps,
        "seed": options.seed, "held_out_stock_voices": list(HELD_OUT),
        "recovered": {"unseen_blends": blends, "held_out_stock_voices": stock},
    }  # fmt: skip
    write_json(options.out / "encoders.json", facts)
    print(json.dumps(facts["recovered"], indent=2))


def spoken_again(base: Base, encoders: StyleEncoders, folder: Path) -> dict[str, float]:
    """Synthesise a folder's texts with the style vectors that the encoders predict from its speech.

    Returns:
        ``f0_error``, the median difference of the median F0 in semitones, and ``rate_error``, that of the length of the
        speech in percent, both as absolute values.
    """
    import numpy as np
    import torch

    from voiceclone.audio.features import LogMel
    from voiceclone.base_training.teacher import read_utterance, utterance_numbers
    from voiceclone.models.frozen_kokoro import FrozenKokoro
    from voiceclone.style.extraction import reference_mel
    from voiceclone.voice.profile import LengthProfile

    kokoro, profile = FrozenKokoro(base.kmodel, torch.device("cpu")), LengthProfile.of(base.stock_voices.values())
    log_mel, pitch, rate = LogMel(), [], []
    for number in utterance_numbers(folder):
        one = read_utterance(folder, number)
        text = kokoro.text(one.phonemes)
        with torch.no_grad():
            found = encoders(reference_mel(one.audio, log_mel))
        again = kokoro.utter(text, profile.row(found, text.phoneme_count))
        medians = [float(f0[f0 > 40].median()) for f0 in (again.f0, one.f0)]
        pitch.append(abs(12 * np.log2(medians[0] / medians[1])))
        rate.append(100 * abs(float(again.durations[1:-1].sum()) / float(one.durations[1:-1].sum()) - 1))
    return {"f0_error": float(np.median(pitch)), "rate_error": float(np.median(rate))}


if __name__ == "__main__":
    run(main)
