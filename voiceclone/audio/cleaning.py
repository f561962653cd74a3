"""Correction of recordings: offset and rumble, channels that cancel, and the bandwidth."""

from __future__ import annotations

import numpy as np

RUMBLE_HZ = 20.0  # half the amplitude is left there; at 40 Hz 94 %, at 80 Hz 99.6 %
_PAD_SECONDS = 0.2
_LEAST_RATE, _MOST_RATE = 1_000, 1_000_000  # Hz; the range in which the filter is reliable
_CANCELLED = 0.8  # of the power that the loudest channel alone would leave in the average

_BAND_HZ = 125.0
_ACTIVE_DB = 35.0  # dB below the loud frames: quieter frames are pauses
_SPEECH_RANGE_DB = 65.0  # dB below the loudest band: quieter bands hold no speech
_SPEECH_MOVES_DB = 10.0  # the level of speech in a band varies by more than that, the level of noise by less
_EDGE_DB = 12.0  # fall of the level at the edge of a filter; the spectrum of a voice falls more slowly
_RUN, _MOST = 8, 6  # of _RUN bands, _MOST must hold speech
_FEWEST_FRAMES = 20


def mono(samples: np.ndarray) -> tuple[np.ndarray, bool]:
    """The mean of the channels of float32 ``(T, C)``, and whether they cancel; if so, the loudest channel.

    Channels cancel if one is the inverse of another, for example from a wrongly wired cable or a vocal remover: the
    mean is then weaker than the loudest channel with silence in all others.
    """
    average = samples.mean(axis=1, dtype=np.float32)
    if samples.shape[1] < 2 or len(samples) == 0:
        return average, False
    with np.errstate(over="ignore", invalid="ignore"):
        # One channel after the other: a copy of all in float64 would take twice the memory of the recording.
        power = np.array([channel.var(dtype=np.float64) for channel in samples.T])
        loudest = int(power.argmax())
        cancels = bool(average.var(dtype=np.float64) * samples.shape[1] ** 2 < _CANCELLED * power[loudest])
    return (np.ascontiguousarray(samples[:, loudest]), True) if cancels else (average, False)


def without_rumble(samples: np.ndarray, rate: int) -> np.ndarray:
    """Float32 ``(T,)`` at ``rate`` Hz without its mean and without frequencies below ``RUMBLE_HZ``; zero phase.

    Both are inaudible but change the features: an offset of 0.03 adds energy to the lowest bands of a mel spectrum.
    """
    from scipy.signal import butter, sosfiltfilt

    if len(samples) < 2 or not np.isfinite(samples).all():
        return samples
    centred = samples.astype(np.float64)
    centred -= centred.mean()
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        return centred.astype(np.float32)
    # Mirrored at the ends: the first value of a clip that is cut within a vowel is not an offset.
    pad = min(int(_PAD_SECONDS * rate), len(samples) - 1)
    highpass = butter(2, RUMBLE_HZ, "highpass", fs=rate, output="sos")
    filtered: np.ndarray = sosfiltfilt(highpass, centred, padtype="even", padlen=pad)
    return filtered.astype(np.float32)


def bandwidth(samples: np.ndarray, rate: int) -> float:
    """The frequency in Hz up to which float32 ``(T,)`` at ``rate`` Hz holds speech: half the rate, or the cut-off.

    Telephones, codecs and resampling cut speech off at a frequency. Below it the level of a band varies with the
    speech, above it there is a constant noise floor; at the edge the level falls by ``_EDGE_DB`` or more. A voice that
    fades into noise has no such edge, and its bandwidth is half the rate.
    """
    levels = _band_levels(samples, rate)
    if levels is None:
        return rate / 2
    loud, quiet = (10.0 * np.log10(np.percentile(levels, share, axis=0) + 1e-16) for share in (95, 10))
    speech = (loud > quiet + _SPEECH_MOVES_DB) & (loud > loud.max() - _SPEECH_RANGE_DB)
    dense = np.convolve(speech, np.ones(_RUN, dtype=int))[: len(speech)]
    tops = np.flatnonzero(speech & (dense >= _MOST))
    if not len(tops):
        return rate / 2
    top = int(tops[-1])
    below, above = loud[max(0, top - 6) : top], loud[top + 3 : top + 13]
    if len(above) < 2 or below.mean() - above.mean() < _EDGE_DB:
        return rate / 2
    return (top + 1) * _BAND_HZ


def _band_levels(samples: np.ndarray, rate: int) -> np.ndarray | None:
    """Power ``(frames, bands)`` of the frames outside of pauses; None if there are too few."""
    size = 2 ** round(np.log2(0.032 * rate))
    if len(samples) < size + _FEWEST_FRAMES * size // 4 or rate < 32 * _BAND_HZ:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // 4]
    power = np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32), axis=1)) ** 2 / size
    first = np.arange(0.0, rate / 2 - _BAND_HZ / 2, _BAND_HZ)
    starts = np.ceil(first * size / rate).astype(int)
    bands = np.add.reduceat(power, starts, axis=1) / np.diff(np.append(starts, power.shape[1]))
    level = 10.0 * np.log10(bands.sum(axis=1) + 1e-16)
    active = bands[level >= np.percentile(level, 95) - _ACTIVE_DB]
    return active if len(active) >= _FEWEST_FRAMES else None
