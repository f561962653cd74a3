#!/usr/bin/env python3
"""Compare the harmonics of a student's decoder with its teacher's.

    python benchmarks/student_harmonics.py --student work/run/base --speech work/speech

The last utterances of the speech (scripts/speak_with_teacher.py), which a training on it holds out, are decoded with
the teacher's durations, F0 and energy. Compared is the fine structure of the spectrum: the log magnitude of windows of
43 ms minus its mean over 350 Hz, in voiced frames. Its correlation with the teacher's is 1 for the same harmonics and 0
for noise in their place.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.base_training.losses import SPECTRUM_FLOOR, SpectralLoss, complex_distance
from voiceclone.base_training.teacher import TeacherUtterance, read_utterance, utterance_numbers
from voiceclone.bases.base import load_base
from voiceclone.errors import VoicecloneError
from voiceclone.models.batched_forward import decode_frames, text_features
from voiceclone.models.frozen_kokoro import STYLE_DIM

WINDOW, HOP = 1024, 240  # samples
SMOOTH = 15  # bins of 23 Hz
VOICED = 80.0  # Hz
BANDS = ((0, 1000), (1000, 2000), (2000, 3000), (3000, 4500))  # Hz


def main() -> int:
    """Parse, decode, print one row for each model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--student", nargs="+", required=True, help="folders of students' bases, or names of bases")
    parser.add_argument("--speech", type=Path, required=True, help="folder of the teacher's speech")
    parser.add_argument("--utterances", type=int, default=6)
    options = parser.parse_args()
    numbers = utterance_numbers(options.speech)[-options.utterances :]
    if not numbers:
        parser.error(f"--speech {options.speech}: holds no speech of a teacher")
    spoken = [read_utterance(options.speech, number) for number in numbers]
    bands = [f"{low / 1000:g}-{high / 1000:g} kHz" for low, high in BANDS]
    print("| model |", " | ".join([*bands, "log-mel L1", "complex"]), "|")
    print("|---" * (len(BANDS) + 3) + "|")
    try:
        for name in options.student:
            model = load_base(name, offline=True).kmodel
            rows = [compared(decoded(model, one), one) for one in spoken]
            print(f"| {name} |", " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)), "|", flush=True)
    except VoicecloneError as error:
        parser.error(str(error))
    return 0


@torch.no_grad()
def decoded(model: torch.nn.Module, one: TeacherUtterance) -> torch.Tensor:
    """Audio ``(T,)`` of the decoder for the utterance's durations, F0, energy and voice."""
    frame_tokens = torch.repeat_interleave(torch.arange(len(one.tokens)), one.durations)[None]
    features = text_features(model, one.tokens[None], torch.tensor([len(one.tokens)]))
    style = one.vector[None, :STYLE_DIM].float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return decode_frames(model, features, frame_tokens, one.f0[None], one.energy[None], style)[0]


def compared(audio: torch.Tensor, one: TeacherUtterance) -> list[float]:
    """Correlation of the fine structure in each band, log-mel L1 and complex distance."""
    teachers = torch.from_numpy(one.audio)
    ours, theirs = fine_structure(audio), fine_structure(teachers)
    times = np.arange(theirs.shape[1]) * HOP / SAMPLE_RATE
    voiced = np.interp(times, np.arange(len(one.f0)) * 0.0125, one.f0.numpy()) > VOICED
    hertz = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    found = []
    for low, high in BANDS:
        band = (hertz >= low) & (hertz < high)
        found.append(float(np.corrcoef(ours[band][:, voiced].ravel(), theirs[band][:, voiced].ravel())[0, 1]))
    distances = SpectralLoss()(audio[None], teachers[None])["mel"], complex_distance(audio[None], teachers[None])
    return [*found, *map(float, distances)]


def fine_structure(audio: torch.Tensor) -> np.ndarray:
    """Log magnitudes ``(513, frames)`` of ``(T,)`` without their mean over 350 Hz."""
    spectrum = torch.stft(audio, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True).abs()
    logs = torch.log(spectrum + SPECTRUM_FLOOR).numpy()
    return logs - uniform_filter1d(logs, SMOOTH, axis=0)


if __name__ == "__main__":
    sys.exit(main())
