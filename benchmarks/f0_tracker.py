#!/usr/bin/env python3
"""F0 trackers on synthesised speech whose F0 is known: clean, with mains hum, with white noise.

    python benchmarks/f0_tracker.py --base kokoro --text sentences.txt

The known F0 is what the base's predictor gave its decoder. A frame counts as voiced where that is above 50 Hz and the
frame's level within 30 dB of the utterance's loudest one. Compared are SwiftF0, which cloning uses, librosa's
probabilistic YIN, and Harvest where pyworld is installed (pip install pyworld-prebuilt).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
from student import VOICES, Speaking

from voiceclone.audio.features import F0_CEILING, F0_FLOOR, HOP, SAMPLE_RATE, track_f0
from voiceclone.bases.base import load_base
from voiceclone.errors import VoicecloneError

CONDITIONS = {
    "clean": (None, None),
    "hum, 20 dB": (20.0, None),
    "white noise, 20 dB": (None, 20.0),
    "both": (20.0, 20.0),
}
"""Level of the speech above mains hum and above white noise, dB."""
HUM = (60.0, 120.0, 180.0)  # Hz
GROSS = 3.0  # semitones
RANGE = 30.0  # dB


def main() -> int:
    """Parse, speak, track, print one row for each condition and tracker."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--text", type=Path, required=True, help="sentences, one a line")
    parser.add_argument("--sentences", type=int, default=20)
    options = parser.parse_args()
    try:
        speaking = Speaking(load_base(options.base, offline=True))
        lines = [line.strip() for line in options.text.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if 40 < len(line) < 120][-options.sentences :]
        spoken = [speaking.speak(line, VOICES[i % len(VOICES)], i) for i, line in enumerate(lines)]
    except (OSError, VoicecloneError) as error:
        parser.error(str(error))
    clips = [(one.audio.numpy(), one.f0.numpy().ravel()) for one in spoken]
    print("| speech | tracker | median, semitones | gross errors, % | voiced found, % | unvoiced found, % | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, levels in CONDITIONS.items():
        for tracker, track in trackers().items():
            started = time.perf_counter()
            found = [compared(track(degraded(a, *levels, seed=i)), a, f0) for i, (a, f0) in enumerate(clips)]
            seconds = (time.perf_counter() - started) / len(clips)
            cells = " | ".join(f"{value:.2f}" for value in np.mean(found, axis=0))
            print(f"| {name} | {tracker} | {cells} | {seconds:.2f} |", flush=True)
    return 0


def trackers() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The trackers that are installed: audio ``(T,)`` at 24 kHz to F0 in Hz, 80 frames per second."""
    others = {"probabilistic YIN": probabilistic_yin}
    if importlib.util.find_spec("pyworld") is not None:
        others["Harvest"] = harvest
    return {"SwiftF0": track_f0, **others}


def harvest(audio: np.ndarray) -> np.ndarray:
    """F0 in Hz at 80 frames per second, 0 where unvoiced (Morise 2017), refined by StoneMask."""
    import pyworld

    audio = audio.astype(np.float64)
    coarse, times = pyworld.harvest(audio, SAMPLE_RATE, F0_FLOOR, F0_CEILING, frame_period=1000.0 * HOP / SAMPLE_RATE)
    return np.asarray(pyworld.stonemask(audio, coarse, times, SAMPLE_RATE))


def probabilistic_yin(audio: np.ndarray) -> np.ndarray:
    """F0 in Hz at 80 frames per second, 0 where unvoiced."""
    f0, _, _ = librosa.pyin(
        audio, fmin=F0_FLOOR, fmax=F0_CEILING, sr=SAMPLE_RATE, frame_length=1536, hop_length=HOP, fill_na=0.0
    )
    return np.asarray(f0)


def degraded(audio: np.ndarray, hum: float | None, noise: float | None, *, seed: int) -> np.ndarray:
    """The audio with hum and white noise at levels in dB below its own."""
    level = float(np.sqrt(np.mean(audio**2)))
    times = np.arange(len(audio)) / SAMPLE_RATE
    mixed = audio.astype(np.float64)
    if hum is not None:
        wave = sum(np.sin(2 * np.pi * hertz * times + number) for number, hertz in enumerate(HUM))
        mixed = mixed + wave * level * 10 ** (-hum / 20) / np.sqrt(np.mean(wave**2))
    if noise is not None:
        mixed = mixed + np.random.default_rng(seed).normal(size=len(audio)) * level * 10 ** (-noise / 20)
    return mixed.astype(np.float32)


def compared(found: np.ndarray, audio: np.ndarray, f0: np.ndarray) -> list[float]:
    """Error of the median in semitones; gross errors, voiced and unvoiced frames that were found, in percent."""
    count = min(len(found), len(f0), len(audio) // HOP)
    found, f0 = found[:count], f0[:count]
    power = np.square(audio[: count * HOP]).reshape(count, HOP).mean(axis=1)
    loud = 10 * np.log10(power + 1e-12) > 10 * np.log10(power.max()) - RANGE
    voiced, unvoiced = (f0 > 50.0) & loud, ~(f0 > 50.0)
    both = voiced & (found > 0)
    wrong = np.abs(12 * np.log2(found[both] / f0[both])) > GROSS
    median = abs(12 * np.log2(np.median(found[found > 0]) / np.median(f0[voiced])))
    shares = wrong.mean(), (found[voiced] > 0).mean(), (found[unvoiced] == 0).mean()
    return [float(median), *(100 * float(share) for share in shares)]


if __name__ == "__main__":
    sys.exit(main())
