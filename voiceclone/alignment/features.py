"""What of a spectrum is compared between two voices: cepstra and their slopes, level and spread taken out.

Two spectra come in, since their uses differ: long recordings of any rate are read in blocks at 16 kHz, 40 bands each
20 ms, and are scaled by what is speech in all of a recording (:class:`Scale`); a clip has the log-mel of the models, 80
bands each 12.5 ms at 24 kHz, and is scaled by itself (:func:`clip_features`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CEPSTRA = 13
SIZE = 2 * CEPSTRA
CLIP_BANDS = 60  # lower bands of a clip's mel: up to about 6 kHz, so that recordings made at 16 kHz compare too
CLIP_RANGE = 2.5  # of the normalised log-mel: 43 dB


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """Level, mean and spread of one voice in one room, by which it compares with others."""

    pool: int
    """Mel frames (20 ms) in one frame of features."""
    range_db: float
    """Below the loud frames by more than this, noise differs from recording to recording: it is levelled."""
    top: float
    """dB of the loud frames."""
    mean: np.ndarray = field(repr=False)
    """``(26, 1)``"""
    spread: np.ndarray = field(repr=False)
    """``(26, 1)``"""

    def apply(self, mel: np.ndarray) -> np.ndarray:
        """Mel ``(40, F)`` in dB to features ``(26, F // pool)`` float32 of mean 0 and spread 1 in speech."""
        return self.apply_pooled(pooled(mel, self.pool))

    def apply_pooled(self, mel: np.ndarray) -> np.ndarray:
        """As :meth:`apply`, of mels ``(40, T)`` that are pooled already."""
        return ((cepstra_with_slopes(mel, self.top - self.range_db) - self.mean) / self.spread).astype(np.float32)


def scale_of(parts: list[tuple[np.ndarray, np.ndarray]], *, pool: int, range_db: float) -> Scale:
    """The scale of mels ``(40, F)`` of which the frames in a mask ``(F,)`` are speech."""
    mels = [pooled(mel, pool) for mel, _ in parts]
    masks = [mask[: len(mask) // pool * pool].reshape(-1, pool).mean(axis=1) >= 0.5 for _, mask in parts]
    if sum(mask.sum() for mask in masks) < 2:
        masks = [np.ones(mel.shape[1], dtype=bool) for mel in mels]
    loudest = np.concatenate([mel.max(axis=0)[mask] for mel, mask in zip(mels, masks, strict=True)])
    top = float(np.percentile(loudest, 95))
    values = [cepstra_with_slopes(mel, top - range_db)[:, mask] for mel, mask in zip(mels, masks, strict=True)]
    both = np.concatenate(values, axis=1)
    return Scale(
        pool=pool,
        range_db=range_db,
        top=top,
        mean=both.mean(axis=1, keepdims=True),
        spread=both.std(axis=1, keepdims=True) + 1e-3,
    )


def clip_features(mel: np.ndarray) -> np.ndarray:
    """Features ``(26, T)`` of the normalised log-mel ``(80, T)`` of a clip, of mean 0 and spread 1."""
    mel = mel[:CLIP_BANDS]
    both = cepstra_with_slopes(mel, mel.max() - CLIP_RANGE, smooth=True)
    scaled = (both - both.mean(axis=1, keepdims=True)) / (both.std(axis=1, keepdims=True) + 1e-3)
    scaled[CEPSTRA:] *= 0.5  # slopes are noisier
    scaled[0] *= 2.0  # loudness separates speech from pauses
    return scaled


def pooled(mel: np.ndarray, pool: int) -> np.ndarray:
    """Means of ``pool`` frames: ``(40, F)`` to ``(40, F // pool)``."""
    count = mel.shape[1] // pool
    return mel[:, : count * pool].reshape(mel.shape[0], count, pool).mean(axis=2)


def cepstra_with_slopes(mel: np.ndarray, floor: float, *, smooth: bool = False) -> np.ndarray:
    """Cepstra ``(13, T)`` of a log-mel ``(bands, T)`` and their slopes, ``(26, T)`` together.

    Args:
        floor: values below it are raised to it: noise floors differ from recording to recording.
        smooth: average the cepstra over three frames, for frames so short that they waver.
    """
    from scipy.fft import dct
    from scipy.ndimage import uniform_filter1d

    values = dct(np.maximum(mel, floor), axis=0, norm="ortho")[:CEPSTRA]
    if smooth:
        values = uniform_filter1d(values, 3, axis=1)
    if mel.shape[1] < 2:
        return np.concatenate([values, np.zeros_like(values)])
    return np.concatenate([values, np.gradient(uniform_filter1d(values, 3, axis=1), axis=1)])
