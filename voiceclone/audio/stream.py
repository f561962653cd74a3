"""Writing audio while it is synthesised: to a file, renamed into place at the end, or piece by piece to a pipe."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE
from voiceclone.audio.sound_formats import FORMATS, format_of
from voiceclone.errors import VoicecloneError
from voiceclone.files import atomic_path

Write = Callable[[np.ndarray], None]
PCM = "pcm"  # bare 16-bit samples, little-endian
STREAMS = ("wav", "ogg", "opus", "mp3", PCM)  # not FLAC: many programs need the length in its header
SOUNDS = (*FORMATS, PCM)
_UNKNOWN = 0xFFFFFFFF  # length that sox and ffmpeg write into the header of a stream
_SAMPLE_BYTES = 2
_MP3_QUALITY = 0.5  # 0 to 1, least compressed first: 80 kbit/s at 24 kHz


class StreamSink(Protocol):
    """The target of a stream."""

    def write(self, content: bytes, /) -> Any:
        """Write the next bytes."""

    def flush(self) -> Any:
        """Send the bytes written so far."""


@contextlib.contextmanager
def sound_file(path: str | os.PathLike[str], sample_rate: int = SAMPLE_RATE) -> Iterator[Write]:
    """Yield a function that appends mono audio ``(T,)``, float, full scale 1.0; the suffix selects the format.

    The samples go to a temporary file beside ``path``, which replaces it when the block ends without an error.

    Raises:
        UsageError: the suffix is unknown.
        VoicecloneError: the file cannot be written.
    """
    import soundfile

    path = Path(path)
    form = format_of(path)
    with atomic_path(path) as temporary, _encoder(temporary, form, sample_rate) as stream:

        def write(audio: np.ndarray) -> None:
            try:
                stream.write(_clipped(audio))
                stream.flush()
            except (soundfile.SoundFileError, RuntimeError) as error:  # a full disk
                raise VoicecloneError(f"cannot write {path}: {error}: free some space") from error

        yield write


@contextlib.contextmanager
def sound_stream(target: StreamSink, form: str = "wav", sample_rate: int = SAMPLE_RATE) -> Iterator[Write]:
    """The same for a pipe or any other binary stream, whose header cannot hold the length.

    Args:
        form: one of :data:`STREAMS`.
    """
    if form in ("wav", PCM):
        yield _plain(target, header=_wav_header(sample_rate) if form == "wav" else b"")
        return
    buffer, sent = io.BytesIO(), 0

    def pass_on() -> None:
        nonlocal sent
        # The header with the final length, which the encoder rewrites at the end, has already been sent without it.
        if content := buffer.getbuffer()[sent:].tobytes():
            target.write(content)
            target.flush()
            sent += len(content)

    with _encoder(buffer, form, sample_rate) as stream:

        def write(audio: np.ndarray) -> None:
            stream.write(_clipped(audio))
            stream.flush()
            pass_on()

        yield write
    pass_on()


def encoded(pieces: list[np.ndarray], form: str, sample_rate: int = SAMPLE_RATE) -> bytes:
    """A complete file in one of :data:`SOUNDS`, with lengths in its header; the pieces are ``(T,)``, -1 to 1."""
    buffer = io.BytesIO()
    if form == PCM:
        write = _plain(buffer, header=b"")
        for audio in pieces:
            write(audio)
        return buffer.getvalue()
    with _encoder(buffer, form, sample_rate) as stream:
        for audio in pieces:
            stream.write(_clipped(audio))
    return buffer.getvalue()


def _encoder(target: Path | BinaryIO, form: str, sample_rate: int) -> Any:
    """A ``soundfile.SoundFile`` to write to. MP3 gets a constant bit rate: players then know the length of a stream."""
    import soundfile

    kind = FORMATS[form]
    more: dict[str, Any] = {}
    # soundfile before 0.13 has no such settings: there MP3 has a variable rate.
    if form == "mp3" and "bitrate_mode" in inspect.signature(soundfile.SoundFile.__init__).parameters:
        more = {"bitrate_mode": "CONSTANT", "compression_level": _MP3_QUALITY}
    return soundfile.SoundFile(
        target, "w", sample_rate, channels=1, format=kind.container, subtype=kind.subtype, **more
    )


def _plain(target: StreamSink, *, header: bytes) -> Write:
    """A writer of 16-bit samples; the header is sent before the first of them."""
    begun = False

    def write(audio: np.ndarray) -> None:
        nonlocal begun
        if not begun and header:
            target.write(header)
        begun = True
        # Rounded as in libsndfile, so that pipe and file hold the same samples.
        samples = np.floor(_clipped(audio) * 32768.0).clip(max=32767.0)
        target.write(samples.astype("<i2").tobytes())
        target.flush()

    return write


def _wav_header(sample_rate: int) -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", _UNKNOWN, b"WAVE",
        b"fmt ", 16, 1, 1, sample_rate, sample_rate * _SAMPLE_BYTES, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES,
        b"data", _UNKNOWN,
    )  # fmt: skip


def _clipped(audio: np.ndarray) -> np.ndarray:
    return np.clip(np.asarray(audio, dtype=np.float32), -1.0, 1.0)
