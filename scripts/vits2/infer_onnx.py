#!/usr/bin/env python3
"""Speak a text with an ONNX file of a VITS2, by onnxruntime alone.

    python infer_onnx.py --model=vits2.onnx --config-path=logs/ljs_base/base/config.json \
        --output-wav-path=output.wav --text="hello world, how are you?"
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from common import run

from voiceclone.errors import UsageError


def speak(options: argparse.Namespace) -> None:
    """Phonemes, ids, onnxruntime, WAV."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("onnxruntime is not installed: pip install onnxruntime") from error
    import numpy as np

    from voiceclone.audio.io import write_wav
    from voiceclone.models.vits2.config import read_vits2_config
    from voiceclone.models.vits2.speaking import SpeechNoise
    from voiceclone.text.alphabet import count_spoken
    from voiceclone.text.g2p import Phonemizer
    from voiceclone.voice.speaking import SPEED_RANGE

    if not SPEED_RANGE[0] <= options.length_scale <= SPEED_RANGE[1]:
        raise UsageError(f"--length-scale {options.length_scale}: use a number between 0.25 and 4")
    SpeechNoise(noise_scale=options.noise_scale, noise_scale_w=options.noise_scale_w)  # refuses values out of range
    config, vocab = read_vits2_config(options.config_path)
    if not options.model.is_file():
        raise UsageError(f"{options.model}: no such file: write it by export_onnx.py")
    try:
        session = onnxruntime.InferenceSession(str(options.model), providers=["CPUExecutionProvider"])
        known = json.loads(session.get_modelmeta().custom_metadata_map["voiceclone"])["vocab"]
    except Exception as error:  # onnxruntime has many types of its own
        raise UsageError(f"{options.model}: is not a file of export_onnx.py ({type(error).__name__})") from error
    if known != vocab:
        raise UsageError(f"{options.config_path}: belongs to another model than {options.model}: give the one it has")
    phonemes = Phonemizer("a").phonemes(options.text)
    ids = [0, *(vocab[symbol] for symbol in phonemes if symbol in vocab), 0]
    if not count_spoken(phonemes, vocab):
        raise UsageError(f"--text {options.text!r}: it holds nothing that can be spoken")
    if config.add_blank:
        ids = [one for token in ids for one in (token, 0)][:-1]
    feed = {
        "input": np.array([ids]), "input_lengths": np.array([len(ids)]),
        "scales": np.array([options.noise_scale, options.length_scale, options.noise_scale_w], dtype=np.float32),
    }  # fmt: skip
    if config.speakers:
        if not 0 <= options.sid < config.speakers:
            raise UsageError(f"--sid {options.sid}: use a number from 0 to {config.speakers - 1}")
        feed["sid"] = np.array([options.sid])
    (audio,) = session.run(None, feed)
    write_wav(options.output_wav_path, audio[0, 0], config.front_end.sample_rate)
    print(f"{options.output_wav_path}: {audio.shape[-1] / config.front_end.sample_rate:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="the ONNX file")
    parser.add_argument("--config-path", type=Path, required=True, help="config.json of the base it was made of")
    parser.add_argument("--output-wav-path", required=True, help="sound file to write")
    parser.add_argument("--text", required=True, help="English")
    parser.add_argument("--sid", type=int, default=0, help="number of the speaker (default: 0)")
    parser.add_argument("--noise-scale", type=float, default=0.667)
    parser.add_argument("--length-scale", type=float, default=1.0)
    parser.add_argument("--noise-scale-w", type=float, default=0.8)
    sys.exit(run(speak, parser))
