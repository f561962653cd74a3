"""WAV that is written while it is made: to a file that appears when it is whole, or to a pipe."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE
from voiceclone.errors import VoicecloneError
from voiceclone.files import atomic_path

Write = Callable[[np.ndarray], None]
_UNKNOWN = 0xFFFFFFFF  # what sox and ffmpeg put for the length of a stream that has not ended
_SAMPLE_BYTES = 2


@contextlib.contextmanager
def wav_file(path: Path, sample_rate: int = SAMPLE_RATE) -> Iterator[Write]:
    """Yield a function that appends mono audio ``(T,)``, float, full scale 1.0; the file is 16-bit PCM.

    The samples go to a temporary file beside ``path``, which takes its place once the block has ended well.

    Raises:
        VoicecloneError: the file cannot be written.
    """
    import soundfile

    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(temporary, "w", sample_rate, channels=1, format="WAV", subtype="PCM_16") as stream,
    ):

        def write(audio: np.ndarray) -> None:
            try:
                stream.write(_clipped(audio))
                stream.flush()
            except (soundfile.SoundFileError, RuntimeError) as error:  # a full disk
                raise VoicecloneError(f"cannot write {path}: {error}: free some space") from error

        yield write


@contextlib.contextmanager
def wav_stream(target: BinaryIO, sample_rate: int = SAMPLE_RATE) -> Iterator[Write]:
    """The same into a pipe or any other binary stream; the header says that the length is not known."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", _UNKNOWN, b"WAVE",
        b"fmt ", 16, 1, 1, sample_rate, sample_rate * _SAMPLE_BYTES, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES,
        b"data", _UNKNOWN,
    )  # fmt: skip
    begun = False

    def write(audio: np.ndarray) -> None:
        nonlocal begun
        if not begun:
            target.write(header)
            begun = True
        # As libsndfile does it, so that pipe and file hold the same.
        samples = np.floor(_clipped(audio) * 32768.0).clip(max=32767.0)
        target.write(samples.astype("<i2").tobytes())
        target.flush()

    yield write


def _clipped(audio: np.ndarray) -> np.ndarray:
    return np.clip(np.asarray(audio, dtype=np.float32), -1.0, 1.0)
