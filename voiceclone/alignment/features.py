"""Speaker-normalised cepstra and their deltas, by which recordings are aligned.

There are two input spectra. Long recordings of any sample rate are read in blocks at 16 kHz, as 40 mel bands every 20
ms, and normalised by the statistics of all their speech (:class:`Scale`). Clips have the models' log-mel, 80 bands
every 12.5 ms at 24 kHz, and are normalised individually (:func:`clip_features`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CEPSTRA = 13
SIZE = 2 * CEPSTRA
CLIP_BANDS = 60  # lowest bands of a clip's mel, up to about 6 kHz, which recordings at 16 kHz contain as well
CLIP_RANGE = 2.5  # dynamic range in units of the normalised log-mel: 43 dB


@dataclass(frozen=True, kw_only=True, eq=False)
class Scale:
    """Level, mean and standard deviation of the features of one speaker and room."""

    pool: int
    """Number of mel frames (20 ms) averaged to one feature frame."""
    range_db: float
    """Dynamic range in dB below ``top``; lower values, where recordings differ in noise, are clipped."""
    top: float
    """Level of the loud frames in dB."""
    mean: np.ndarray = field(repr=False)
    """``(26, 1)``"""
    spread: np.ndarray = field(repr=False)
    """``(26, 1)``"""

    def apply(self, mel: np.ndarray) -> np.ndarray:
        """Mel ``(40, F)`` in dB to features ``(26, F // pool)`` float32 with zero mean and unit variance in speech."""
        return self.apply_pooled(pooled(mel, self.pool))

    def apply_pooled(self, mel: np.ndarray) -> np.ndarray:
        """As :meth:`apply`, for mels ``(40, T)`` that are already pooled."""
        return ((cepstra_with_slopes(mel, self.top - self.range_db) - self.mean) / self.spread).astype(np.float32)


def scale_of(parts: list[tuple[np.ndarray, np.ndarray]], *, pool: int, range_db: float) -> Scale:
    """The scale of mels ``(40, F)``, each with a mask ``(F,)`` of its speech frames."""
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
    """Features ``(26, T)`` of a clip's normalised log-mel ``(80, T)``, with zero mean and unit variance."""
    mel = mel[:CLIP_BANDS]
    both = cepstra_with_slopes(mel, mel.max() - CLIP_RANGE, smooth=True)
    scaled = (both - both.mean(axis=1, keepdims=True)) / (both.std(axis=1, keepdims=True) + 1e-3)
    scaled[CEPSTRA:] *= 0.5  # deltas are noisier, so they get a lower weight
    scaled[0] *= 2.0  # the level separates speech from pauses, so it gets a higher weight
    return scaled


def pooled(mel: np.ndarray, pool: int) -> np.ndarray:
    """Average every ``pool`` frames: ``(40, F)`` to ``(40, F // pool)``."""
    count = mel.shape[1] // pool
    return mel[:, : count * pool].reshape(mel.shape[0], count, pool).mean(axis=2)


def cepstra_with_slopes(mel: np.ndarray, floor: float, *, smooth: bool = False) -> np.ndarray:
    """Cepstra ``(13, T)`` of a log-mel ``(bands, T)`` and their deltas, stacked to ``(26, T)``.

    Args:
        mel: the log-mel.
        floor: values below it are raised to it, because noise floors differ between recordings.
        smooth: average the cepstra over three frames, for short noisy frames.
    """
    from scipy.fft import dct
    from scipy.ndimage import uniform_filter1d

    values = dct(np.maximum(mel, floor), axis=0, norm="ortho")[:CEPSTRA]
    if smooth:
        values = uniform_filter1d(values, 3, axis=1)
    if mel.shape[1] < 2:
        return np.concatenate([values, np.zeros_like(values)])
    return np.concatenate([values, np.gradient(uniform_filter1d(values, 3, axis=1), axis=1)])
