"""Speak with a voice through a real ``kokoro.KPipeline``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.errors import UsageError, VoicecloneError

if TYPE_CHECKING:
    from kokoro import KPipeline

SPEED_RANGE = (0.25, 4.0)  # times the voice's own rate


def speak(
    pipeline: KPipeline, text: str, voice: str | torch.Tensor, *, speed: float = 1.0, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield audio ``(T,)`` float32 at 24 kHz, a piece for each chunk that KPipeline makes of the text.

    Args:
        voice: what KPipeline takes: a stock voice's name, the path of a ``.pt``, or the ``(510, 1, 256)`` tensor.
        seed: of the harmonic source's phases and noise; the caller's RNG state is kept.

    Raises:
        UsageError: nothing to speak, or a speed out of range.
        VoicecloneError: the model gave no finite audio.
    """
    if not SPEED_RANGE[0] <= speed <= SPEED_RANGE[1]:
        raise UsageError(f"--speed {speed}: use a number between {SPEED_RANGE[0]} and {SPEED_RANGE[1]}")
    spoken = 0
    device = pipeline.model.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for result in pipeline(text, voice=voice, speed=speed):
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


def seconds(audio: np.ndarray) -> float:
    """Length of a 24 kHz signal."""
    return len(audio) / SAMPLE_RATE
