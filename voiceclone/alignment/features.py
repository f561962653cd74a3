"""What of a spectrum is compared between two voices: cepstra and their slopes, level and spread taken out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CEPSTRA = 13
SIZE = 2 * CEPSTRA


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
        return ((_cepstra(mel, self.top - self.range_db) - self.mean) / self.spread).astype(np.float32)


def scale_of(parts: list[tuple[np.ndarray, np.ndarray]], *, pool: int, range_db: float) -> Scale:
    """The scale of mels ``(40, F)`` of which the frames in a mask ``(F,)`` are speech."""
    mels = [pooled(mel, pool) for mel, _ in parts]
    masks = [mask[: len(mask) // pool * pool].reshape(-1, pool).mean(axis=1) >= 0.5 for _, mask in parts]
    if sum(mask.sum() for mask in masks) < 2:
        masks = [np.ones(mel.shape[1], dtype=bool) for mel in mels]
    loudest = np.concatenate([mel.max(axis=0)[mask] for mel, mask in zip(mels, masks, strict=True)])
    top = float(np.percentile(loudest, 95))
    values = [_cepstra(mel, top - range_db)[:, mask] for mel, mask in zip(mels, masks, strict=True)]
    both = np.concatenate(values, axis=1)
    return Scale(
        pool=pool,
        range_db=range_db,
        top=top,
        mean=both.mean(axis=1, keepdims=True),
        spread=both.std(axis=1, keepdims=True) + 1e-3,
    )


def pooled(mel: np.ndarray, pool: int) -> np.ndarray:
    """Means of ``pool`` frames: ``(40, F)`` to ``(40, F // pool)``."""
    count = mel.shape[1] // pool
    return mel[:, : count * pool].reshape(mel.shape[0], count, pool).mean(axis=2)


def _cepstra(mel: np.ndarray, floor: float) -> np.ndarray:
    from scipy.fft import dct
    from scipy.ndimage import uniform_filter1d

    values = dct(np.maximum(mel, floor), axis=0, norm="ortho")[:CEPSTRA]
    if mel.shape[1] < 2:
        return np.concatenate([values, np.zeros_like(values)])
    return np.concatenate([values, np.gradient(uniform_filter1d(values, 3, axis=1), axis=1)])
