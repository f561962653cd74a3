"""Speak with a voice through a real ``kokoro.KPipeline``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.errors import UsageError, VoicecloneError

if TYPE_CHECKING:
    from kokoro import KPipeline

SPEED_RANGE = (0.25, 4.0)  # times the voice's own rate


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How quickly a text was spoken."""

    pieces: int
    """Chunks that KPipeline made of the text."""
    seconds: float
    """Length of the speech."""
    first_audio_seconds: float
    """From the call to the first piece of sound."""
    elapsed_seconds: float
    """From the call to the end of the last piece."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of speech."""
        return self.elapsed_seconds / self.seconds


def check_speed(speed: float) -> None:
    """Refuse a speed that Kokoro cannot speak at.

    Raises:
        UsageError: it is out of range.
    """
    if not SPEED_RANGE[0] <= speed <= SPEED_RANGE[1]:
        raise UsageError(f"--speed {speed}: use a number between {SPEED_RANGE[0]} and {SPEED_RANGE[1]}")


def speak(
    pipeline: KPipeline, text: str, voice: str | torch.Tensor, *, speed: float = 1.0, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield audio ``(T,)`` float32 at 24 kHz, a piece for each chunk that KPipeline makes of the text.

    Args:
        voice: what KPipeline takes: a stock voice's name, the path of a ``.pt``, or the ``(510, 1, 256)`` tensor.
        seed: of the harmonic source's phases and noise; the caller's RNG state is kept.

    Raises:
        UsageError: nothing to speak, or a speed out of range.
        VoicecloneError: the text cannot be turned into phonemes, or the model gave no finite audio.
    """
    check_speed(speed)
    spoken = 0
    device = pipeline.model.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for result in _results(pipeline, text, voice, speed):
            if result.audio is None:
                continue
            audio = np.atleast_1d(result.audio.detach().cpu().numpy().astype(np.float32))
            if not np.isfinite(audio).all():
                raise VoicecloneError(
                    f"the model gave no finite sound for {result.graphemes[:40]!r}: is the voice sound?"
                )
            spoken += 1
            yield audio
    if not spoken:
        raise UsageError(f"nothing in {text[:40]!r} can be spoken: give some words in the language of --lang")


def speak_whole(
    pipeline: KPipeline, text: str, voice: str | torch.Tensor, *, speed: float = 1.0, seed: int = 0
) -> np.ndarray:
    """The whole text as one signal ``(T,)``; see :func:`speak`."""
    return np.concatenate(list(speak(pipeline, text, voice, speed=speed, seed=seed)))


def deliver(pieces: Iterable[np.ndarray], write: Callable[[np.ndarray], None]) -> Delivery:
    """Hand each piece of :func:`speak` on as it comes, and take the time."""
    started = time.perf_counter()
    first, samples, count = 0.0, 0, 0
    for audio in pieces:
        if not count:
            first = time.perf_counter() - started
        write(audio)
        count += 1
        samples += len(audio)
    return Delivery(
        pieces=count,
        seconds=samples / SAMPLE_RATE,
        first_audio_seconds=first,
        elapsed_seconds=time.perf_counter() - started,
    )


def seconds(audio: np.ndarray) -> float:
    """Length of a 24 kHz signal."""
    return len(audio) / SAMPLE_RATE


def _results(pipeline: KPipeline, text: str, voice: str | torch.Tensor, speed: float) -> Iterator[KPipeline.Result]:
    """What the pipeline yields; libraries below it raise many kinds of errors for texts they cannot digest."""
    try:
        yield from pipeline(text, voice=voice, speed=speed)
    except (MemoryError, VoicecloneError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
        raise VoicecloneError(f"the text {text[:40]!r} cannot be spoken ({reason}): reword it") from error
