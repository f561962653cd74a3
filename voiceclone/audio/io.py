"""Reading and writing audio: any format of libsndfile is read as 24 kHz mono float32; 16-bit WAV is written."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from voiceclone.audio.cleaning import mono, without_rumble
from voiceclone.audio.mp3_length import Prefixed, unstated_length
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes

SAMPLE_RATE = 24_000  # Hz; the rate of Kokoro and StyleTTS2
# libsndfile's log line for a chunk larger than the file; an unknown length is written as 2^31 or 2^32.
_TOO_LARGE = re.compile(r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.M)
_NO_LENGTH = 2**31 - 2**12  # bytes
_NO_FRAMES = 2**60
HEADER_SLACK = 0.05  # seconds; tolerated error of the length in a header
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64")


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """The header of an audio file."""

    sample_rate: int
    """Hz, as stored."""
    channels: int
    frames: int
    """Samples per channel, as stated by the file; an MP3 that states none is counted."""
    lost_seconds: float = 0.0
    """Seconds by which the file is shorter than its header says (a truncated copy or recording)."""

    @property
    def seconds(self) -> float:
        """Length in seconds according to the header."""
        return self.frames / self.sample_rate


def probe(path: Path | str) -> AudioInfo:
    """Read the header of an audio file only.

    Raises:
        VoicecloneError: the file is missing, or libsndfile cannot read it.
    """
    with open_audio(Path(path)) as stream:
        return AudioInfo(
            sample_rate=stream.samplerate, channels=stream.channels, frames=stream.frames, lost_seconds=_lost(stream)
        )


def decode_audio(path: Path | str, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """Read a file at its own rate.

    Args:
        seconds: read at most that much, from the start; None for the whole file.

    Returns:
        samples float32 ``(T, C)``, full scale at 1.0, unchecked (may be empty or hold NaN), and their rate in Hz.

    Raises:
        VoicecloneError: the file is missing or damaged, or libsndfile cannot read it.
    """
    path = Path(path)
    with open_audio(path) as stream:
        most = -1 if seconds is None else int(seconds * stream.samplerate)
        try:
            samples = stream.read(most, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError, MemoryError) as error:
            raise VoicecloneError(_unreadable(path, error)) from error
        return samples, stream.samplerate


def cancels(path: Path | str, seconds: float = 60.0) -> bool:
    """Whether the channels of a file cancel (see :func:`mono`), judged by its first ``seconds``.

    Raises:
        VoicecloneError: the file is missing or damaged, or libsndfile cannot read it.
    """
    if probe(path).channels < 2:
        return False
    return mono(decode_audio(path, seconds)[0])[1]


def resample(samples: np.ndarray, rate: int, target_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Band-limited resampling of float32 ``(T,)`` from ``rate`` to ``target_rate`` (Hz); unchanged at equal rates."""
    if rate == target_rate or len(samples) == 0:
        return samples
    import soxr

    return np.ascontiguousarray(soxr.resample(samples, rate, target_rate, quality="HQ"), dtype=np.float32)


def read_audio(path: Path | str, seconds: float | None = None) -> np.ndarray:
    """Read a file as 24 kHz mono: channels averaged (see :func:`mono`), without offset and rumble.

    Args:
        seconds: read at most that much, from the start; None for the whole file.

    Returns:
        float32 ``(T,)``, T > 0, finite; full scale is 1.0 (resampling may overshoot it slightly).

    Raises:
        VoicecloneError: the file is missing, damaged, empty, or holds values that are not finite.
    """
    samples, rate = decode_audio(path, seconds)
    audio = resample(without_rumble(mono(samples)[0], rate), rate)
    if len(audio) == 0:
        raise VoicecloneError(f"{path}: holds no audio samples: replace or remove the file")
    if not np.isfinite(audio).all():
        raise VoicecloneError(f"{path}: holds samples that are not finite: export the file again")
    return audio


def write_wav(path: Path | str, audio: np.ndarray, sample_rate: int = SAMPLE_RATE) -> None:
    """Write mono ``audio`` ``(T,)`` (float, full scale 1.0, clipped beyond) as 16-bit PCM WAV in one step.

    Raises:
        VoicecloneError: the audio is empty, not one-dimensional or not finite, or the file cannot be written.
    """
    audio = np.asarray(audio, dtype=np.float32)
    if audio.ndim != 1 or len(audio) == 0:
        raise VoicecloneError(f"cannot write {path}: expected samples of shape (T,), T > 0, not {audio.shape}")
    if not np.isfinite(audio).all():
        raise VoicecloneError(f"cannot write {path}: the audio holds samples that are not finite")
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(audio, -1.0, 1.0), int(sample_rate), format="WAV", subtype="PCM_16")
    write_bytes(Path(path), buffer.getvalue())


def open_audio(path: Path) -> soundfile.SoundFile:
    """Open an audio file, whatever its name, to read blocks from it.

    Raises:
        VoicecloneError: the file is missing, or libsndfile cannot read it.
    """
    try:
        if not path.exists():
            raise VoicecloneError(f"{path}: no such file: correct the path or remove the entry")
        if not path.is_file():
            raise VoicecloneError(f"{path}: is not a file: correct the path or remove the entry")
        # As bytes on POSIX: soundfile refuses a name that is not UTF-8.
        stream = soundfile.SoundFile(str(path) if os.name == "nt" else os.fsencode(path))
        if stream.format == "MP3" and (whole := _of_counted_length(path, stream)) is not None:
            stream.close()
            stream = soundfile.SoundFile(whole)
        if stream.frames > _NO_FRAMES:
            stream.close()
            raise VoicecloneError(_unreadable(path, "its end is missing"))
        return stream
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError) as error:
        # soundfile raises a TypeError for a .raw file, which has no header.
        if isinstance(error, VoicecloneError):
            raise
        raise VoicecloneError(_unreadable(path, error)) from error


def _of_counted_length(path: Path, stream: soundfile.SoundFile) -> Prefixed | None:
    """An MP3 file as a stream that states its length; None where libsndfile knows the length."""
    counted = unstated_length(path)
    if counted is None or abs(counted.samples - stream.frames) <= HEADER_SLACK * stream.samplerate:
        return None
    return Prefixed(counted.header, path, counted.start)


def _lost(stream: soundfile.SoundFile) -> float:
    """Seconds by which an uncompressed file is shorter than its header says."""
    for promised, held in _TOO_LARGE.findall(stream.extra_info):
        lost = int(promised) - int(held)
        if lost > 0 and int(promised) < _NO_LENGTH and int(held) > 0:
            seconds = stream.frames / stream.samplerate * lost / int(held)
            return seconds if seconds > HEADER_SLACK else 0.0
    return 0.0


def _unreadable(path: Path, error: BaseException | str) -> str:
    detail = " ".join(str(getattr(error, "error_string", error) or error).split()).rstrip(".")
    return f"{path}: cannot be read as audio ({detail}): convert it to WAV, FLAC, OGG or MP3"
