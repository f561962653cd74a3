"""Mel spectrum and energy of a recording, computed in blocks to bound memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from voiceclone.audio.cleaning import mono, without_rumble
from voiceclone.audio.io import open_audio, probe, resample
from voiceclone.errors import VoicecloneError
from voiceclone.system.compiled import load_librosa

RATE = 16_000  # Hz; the mels end at 6 kHz, which recordings at all common rates contain
CELL = 0.01  # seconds between energy values
FRAME = 0.02  # seconds between mel frames: two cells
BANDS = 40
_HOP, _WINDOW, _FFT = 160, 400, 512  # samples
_MEL_RANGE = (60.0, 6000.0)  # Hz
_FLOOR = 1e-10
_BLOCK_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordingFeatures:
    """Mel spectrum and energy of a recording or of a segment; about 30 MB per hour."""

    mel: np.ndarray = field(repr=False)
    """float32 ``(40, F)``, dB, one frame every 20 ms."""
    energy: np.ndarray = field(repr=False)
    """float32 ``(2F,)``, dB, one value every 10 ms, 60-6000 Hz."""
    silence_db: float
    """Energy below which a cell is a pause."""
    first: int = 0
    """Index of the segment's first frame in the recording."""

    @property
    def seconds(self) -> float:
        """Length in seconds, in whole frames."""
        return self.mel.shape[1] * FRAME

    @property
    def speech(self) -> np.ndarray:
        """bool ``(F,)``: frames that are not pauses."""
        return self.energy.reshape(-1, 2).mean(axis=1) >= self.silence_db

    def part(self, start: float, end: float) -> RecordingFeatures:
        """The segment from ``start`` to ``end`` (seconds).

        Its pause level is recomputed, as noise changes over time.
        """
        first = int(round(start / FRAME))
        last = max(first + 1, int(round(end / FRAME)))
        energy = self.energy[2 * first : 2 * last]
        level = pause_level(energy)
        return RecordingFeatures(mel=self.mel[:, first:last], energy=energy, silence_db=level, first=self.first + first)


def read_features(path: Path) -> RecordingFeatures:
    """Features of a whole recording.

    Raises:
        VoicecloneError: the file cannot be read, or is shorter than 0.1 s.
    """
    return features_of_blocks(blocks(path, RATE), str(path))


def features_of_blocks(audio: Iterator[np.ndarray], name: str = "audio") -> RecordingFeatures:
    """Features of 16 kHz mono blocks ``(T,)``.

    Raises:
        VoicecloneError: there is less than 0.1 s of audio.
    """
    # Each frame is centred in its cell.
    rest = np.zeros(_FFT // 2 - _HOP // 2, dtype=np.float32)
    powers = []
    for block in audio:
        rest = np.concatenate([rest, np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)])
        count = (len(rest) - _FFT) // _HOP + 1
        if count > 0:
            powers.append(_mel_power(rest[: (count - 1) * _HOP + _FFT]))
            rest = rest[count * _HOP :]
    power = np.concatenate(powers, axis=1) if powers else np.zeros((BANDS, 0), dtype=np.float32)
    power = power[:, : power.shape[1] // 2 * 2]
    if power.shape[1] < 10:
        raise VoicecloneError(f"{name}: holds less than a tenth of a second of audio: remove it")
    energy = _decibel(power.sum(axis=0))
    mel = _decibel(power).reshape(BANDS, -1, 2).mean(axis=2)
    return RecordingFeatures(mel=mel, energy=energy, silence_db=pause_level(energy))


def pause_level(energy: np.ndarray) -> float:
    """The level in dB that separates pauses from speech in energies ``(T,)``."""
    quiet, loud = np.percentile(energy, [5, 90])
    # A third of the range between noise and speech; at most 35 dB below speech, where breath and room noise are, and at
    # least 6 dB above the noise floor.
    return float(max(quiet + 0.35 * (loud - quiet), loud - 35.0, quiet + min(6.0, 0.5 * (loud - quiet))))


def pauses(sound: RecordingFeatures) -> np.ndarray:
    """bool ``(2F,)``, one value every 10 ms: silent for at least 60 ms. A click of up to 30 ms does not end a pause."""
    silent = sound.energy < sound.silence_db
    for value, shortest in ((False, 4), (True, 6)):
        for first, last in runs(silent == value):
            if last - first < shortest:
                silent[first:last] = not value
    return silent


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """The intervals ``[first, last)`` in which ``mask``, bool ``(T,)``, is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(mask, dtype=np.int8), [0]))))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def blocks(path: Path, rate: int | None = None) -> Iterator[np.ndarray]:
    """The recording as mono float32 blocks ``(T,)``: at its own rate, or at ``rate`` Hz with a high-pass filter.

    Raises:
        VoicecloneError: the file cannot be read.
    """
    import soxr

    own = probe(path).sample_rate
    resampler = soxr.ResampleStream(own, rate, 1, dtype="float32") if rate and rate != own else None
    try:
        with open_audio(path) as stream:
            while True:
                block = stream.read(int(_BLOCK_SECONDS * own), dtype="float32", always_2d=True)
                block, _ = mono(block)
                last = len(block) == 0
                if rate is not None:
                    block = without_rumble(block, own)
                yield block if resampler is None else resampler.resample_chunk(block, last=last)
                if last:
                    return
    except (soundfile.SoundFileError, RuntimeError, OSError) as error:
        raise VoicecloneError(f"{path}: cannot be read to its end ({error}): convert it to WAV or FLAC") from error


def features_of_samples(audio: np.ndarray, rate: int) -> RecordingFeatures:
    """Features of samples ``(T,)`` at ``rate`` Hz."""
    return features_of_blocks(
        iter([resample(np.asarray(audio, dtype=np.float32), rate, RATE), np.zeros(_FFT, np.float32)])
    )


def _mel_power(samples: np.ndarray) -> np.ndarray:
    librosa = load_librosa()
    spectrum = librosa.stft(samples, n_fft=_FFT, win_length=_WINDOW, hop_length=_HOP, center=False)
    return _filters() @ (spectrum.real**2 + spectrum.imag**2)


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    librosa = load_librosa()
    return librosa.filters.mel(sr=RATE, n_fft=_FFT, n_mels=BANDS, fmin=_MEL_RANGE[0], fmax=_MEL_RANGE[1])


def _decibel(power: np.ndarray) -> np.ndarray:
    return (10.0 * np.log10(power + _FLOOR)).astype(np.float32)
