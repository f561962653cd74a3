"""Silence at the ends of a clip."""

from __future__ import annotations

import numpy as np

FRAME, HOP = 2048, 512  # samples: librosa's defaults, whatever the rate
LEAST_POWER = 1e-10  # what counts as no sound at all


def trim(audio: np.ndarray, *, top_db: float) -> np.ndarray:
    """``librosa.effects.trim(audio, top_db=top_db)[0]`` for one channel ``(T,)``, in a tenth of its time.

    librosa squares frames that lie across memory, the slowest part by far of what a style needs before its encoder.
    """
    padded = np.pad(audio, FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    power = np.square(frames).mean(axis=1)
    level = 10.0 * np.log10(np.maximum(power, LEAST_POWER) / max(float(power.max()), LEAST_POWER))
    sounding = np.flatnonzero(level > -top_db)
    if not len(sounding):
        return audio[:0]
    return audio[sounding[0] * HOP : (sounding[-1] + 1) * HOP]
