"""Checks of a clip's fitness for cloning, with their limits; measured once, at the clip's own sample rate."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.audio.cleaning import bandwidth, mono, without_rumble
from voiceclone.audio.io import HEADER_SLACK, decode_audio, probe
from voiceclone.errors import VoicecloneError
from voiceclone.text.alphabet import count_spoken

_FRAME_SECONDS = 0.02
_FLOOR_DB = -120.0
_END_SECONDS = 0.03


@dataclass(frozen=True, kw_only=True)
class QualityLimits:
    """Limits for a clip.

    The recordings measured for these limits lie well inside: 1.8-23 s, 95th percentile level -32 to -9 dBFS, 6-15
    phonemes per second, no clipping.
    """

    min_seconds: float = 0.8
    """Shortest clip, seconds: the style encoder needs 65 frames of 12.5 ms."""
    max_seconds: float = 30.0
    """Longest clip, seconds: attention and memory grow with the length, and Kokoro reads at most 510 phonemes."""
    silence_dbfs: float = -65.0
    """A clip with loud frames (95th percentile of the 20 ms RMS) below this holds no speech, dB re full scale."""
    min_level_dbfs: float = -48.0
    """Minimum level of the loud frames, dB re full scale: below it the recording's noise would be cloned."""
    max_peak: float = 1.5
    """Largest sample, full scale 1.0: float files beyond it are scaled wrongly."""
    max_clipped: float = 0.01
    """Share of samples in runs of three or more at full scale, 0-1."""
    max_phonemes: int = 510
    """Phoneme symbols, the length of a voice pack."""
    max_end_db: float = -10.0
    """Level of a clip's last 30 ms, dB re its loud frames, above which it may end within a word: 3 of 349 recorded
    clips ended above it, and 65 % of 1047 that were cut within a word. (Its beginning tells nothing: of 33 clips of
    LJSpeech 9 begin as loud as that, with the first word whole.)"""
    min_phonemes_per_second: float = 2.0
    """Spoken phonemes per second: minimum; with fewer, most of the speech is missing in the transcript."""
    max_phonemes_per_second: float = 25.0
    """Spoken phonemes per second: maximum; with more, the transcript does not fit into the clip."""
    min_clips: int = 2
    """Minimum number of training clips."""
    min_total_seconds: float = 3.0
    """Minimum length of training audio, seconds."""

    def __post_init__(self) -> None:
        if not 0 < self.min_seconds < self.max_seconds:
            raise ValueError(f"min_seconds {self.min_seconds} must lie between 0 and max_seconds {self.max_seconds}")
        if not 0 < self.min_phonemes_per_second < self.max_phonemes_per_second:
            raise ValueError("min_phonemes_per_second must lie between 0 and max_phonemes_per_second")
        if not 1 <= self.max_phonemes <= 510:
            raise ValueError(f"max_phonemes is {self.max_phonemes}: a voice pack has 510 rows")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Measurements of one clip's audio; None if the check ended earlier."""

    seconds: float | None = None
    sample_rate: int | None = None
    """Hz, as stored."""
    channels: int | None = None
    level_dbfs: float | None = None
    """95th percentile of the 20 ms RMS, dB re full scale, without DC."""
    peak: float | None = None
    """Largest absolute sample, full scale 1.0."""
    clipped: float | None = None
    """Share of samples in runs of three or more at full scale, 0-1."""
    audio_sha256: str | None = None
    """Hash over the decoded samples and their rate."""
    offset: float | None = None
    """Mean of the samples, full scale 1.0; it is removed on reading."""
    bandwidth_hz: float | None = None
    """Upper frequency of the speech, Hz: see :func:`voiceclone.audio.cleaning.bandwidth`."""
    warnings: tuple[str, ...] = ()
    """``reason: detail`` of faults that do not make the clip unfit."""
    problem: str | None = None
    """``reason: detail`` if the audio is unfit, else None."""


def measure_audio(path: Path, limits: QualityLimits) -> Measurement:
    """Read one clip and check its audio; never raises for the content of the file."""
    try:
        info = probe(path)
        known = {"sample_rate": info.sample_rate, "channels": info.channels}
        if info.lost_seconds > 0:
            return _truncated(info.seconds, info.lost_seconds, **known)
        if info.seconds > 2 * limits.max_seconds:
            # Not decoded: hours of audio would not fit into memory.
            return _refused(info.seconds, limits, **known)
        samples, rate = decode_audio(path)
    except VoicecloneError as error:
        return Measurement(problem=f"unreadable: {_without_path(str(error), path)}")
    if (lost := info.seconds - len(samples) / rate) > HEADER_SLACK:
        return _truncated(len(samples) / rate, lost, **known)
    samples, cancel = mono(samples)
    measured = measure_samples(samples, rate, limits, channels=info.channels)
    if not cancel:
        return measured
    warning = f"channels cancel: one is another turned upside down, so the louder of {info.channels} is used alone"
    return replace(measured, warnings=(warning, *measured.warnings))


def measure_samples(samples: np.ndarray, rate: int, limits: QualityLimits, *, channels: int = 1) -> Measurement:
    """Check decoded audio: mono float32 ``(T,)`` at ``rate`` Hz, full scale 1.0, not cleaned."""
    known: dict[str, Any] = {"sample_rate": rate, "channels": channels}
    if len(samples) == 0:
        return Measurement(seconds=0.0, problem="empty: the file holds no samples", **known)
    seconds = len(samples) / rate
    if not np.isfinite(samples).all():
        return Measurement(seconds=seconds, problem="not finite: the file holds NaN or infinite samples", **known)
    if not limits.min_seconds <= seconds <= limits.max_seconds:
        return _refused(seconds, limits, **known)
    clean = without_rumble(samples, rate)
    known |= {"peak": float(np.abs(samples).max()), "level_dbfs": loud_level(clean, rate), "clipped": _clipped(samples)}
    problem = _audio_problem(limits, **known)
    if problem is None:
        known["bandwidth_hz"] = bandwidth(clean, rate)
        known["warnings"] = _cut_word(clean, rate, known["level_dbfs"], limits)
    return Measurement(
        seconds=seconds,
        audio_sha256=_audio_hash(samples, rate),
        offset=float(samples.mean(dtype=np.float64)),
        problem=problem,
        **known,
    )


def transcript_problem(
    text: str, phonemes: str, seconds: float, vocab: Container[str], limits: QualityLimits
) -> str | None:
    """``reason: detail`` if the transcript is unfit, else None."""
    if not text:
        return "no transcript: the text is empty"
    spoken = count_spoken(phonemes, vocab)
    if spoken == 0:
        return "not speakable: the text gives no phonemes that the model knows"
    if len(phonemes) > limits.max_phonemes:
        return f"transcript too long: {len(phonemes)} phonemes, at most {limits.max_phonemes}"
    rate = spoken / seconds
    if rate < limits.min_phonemes_per_second:
        return (
            f"transcript too short for the audio: {rate:.1f} phonemes a second,"
            f" at least {limits.min_phonemes_per_second:g}"
        )
    if rate > limits.max_phonemes_per_second:
        return (
            f"transcript too long for the audio: {rate:.1f} phonemes a second,"
            f" at most {limits.max_phonemes_per_second:g}"
        )
    return None


def _audio_problem(
    limits: QualityLimits, *, peak: float, level_dbfs: float, clipped: float, sample_rate: int, channels: int
) -> str | None:
    if level_dbfs < limits.silence_dbfs:
        return f"silent: loud frames at {level_dbfs:.0f} dBFS, at least {limits.silence_dbfs:g}"
    if peak > limits.max_peak:
        return f"scaled wrongly: peak {peak:.3g} of full scale, at most {limits.max_peak:g}"
    if level_dbfs < limits.min_level_dbfs:
        return f"too quiet: loud frames at {level_dbfs:.0f} dBFS, at least {limits.min_level_dbfs:g}"
    if clipped > limits.max_clipped:
        return f"clipped: {100 * clipped:.1f} % of the samples, at most {100 * limits.max_clipped:g} %"
    return None


def _refused(seconds: float, limits: QualityLimits, *, sample_rate: int, channels: int) -> Measurement:
    if seconds < limits.min_seconds:
        problem = f"too short: {seconds:.2f} s, at least {limits.min_seconds:g} s"
    else:
        problem = f"too long: {seconds:.1f} s, at most {limits.max_seconds:g} s"
    return Measurement(seconds=seconds, sample_rate=sample_rate, channels=channels, problem=problem)


def _truncated(seconds: float, lost: float, *, sample_rate: int, channels: int) -> Measurement:
    problem = f"cut short: the header says {seconds + lost:.2f} s, the file holds {seconds:.2f} s"
    return Measurement(seconds=seconds, sample_rate=sample_rate, channels=channels, problem=problem)


def loud_level(samples: np.ndarray, rate: int) -> float:
    """Level of the loud frames of ``(T,)``, T > 0, at ``rate`` Hz: the 95th percentile of the 20 ms RMS in dBFS."""
    frame = max(1, int(_FRAME_SECONDS * rate))
    power = np.square(samples[: len(samples) // frame * frame], dtype=np.float64).reshape(-1, frame).mean(axis=1)
    return _decibel(float(np.percentile(power, 95)) if len(power) else float(np.square(samples).mean()))


def _decibel(power: float) -> float:
    return max(_FLOOR_DB, 10 * math.log10(power)) if power > 0 else _FLOOR_DB


def _cut_word(samples: np.ndarray, rate: int, level_dbfs: float, limits: QualityLimits) -> tuple[str, ...]:
    """A warning if the clip does not end in silence: its last word may be cut."""
    last = samples[-max(1, int(_END_SECONDS * rate)) :]
    over = _decibel(float(np.square(last, dtype=np.float64).mean())) - level_dbfs
    if over <= limits.max_end_db:
        return ()
    return (f"may end within a word: its last 30 ms are {-over:.0f} dB below its loud ones",)


def _clipped(samples: np.ndarray) -> float:
    """Share of samples in runs of three or more at the clip's maximum, if that is full scale."""
    ceiling = max(0.985, 0.999 * float(np.abs(samples).max()))
    at_ceiling = np.abs(samples) >= ceiling
    edges = np.flatnonzero(np.diff(np.concatenate(([False], at_ceiling, [False])).astype(np.int8)))
    runs = edges[1::2] - edges[0::2]
    return float(runs[runs >= 3].sum() / len(samples))


def _audio_hash(samples: np.ndarray, rate: int) -> str:
    digest = hashlib.sha256(str(rate).encode())
    digest.update(np.ascontiguousarray(samples, dtype="<f4").tobytes())
    return digest.hexdigest()


def _without_path(message: str, path: Path) -> str:
    return message.removeprefix(f"{path}: ").rsplit(": ", 1)[0]
