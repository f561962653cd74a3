"""Speak with a voice through a real ``kokoro.KPipeline``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.text.g2p import LANGUAGES
from voiceclone.text.pieces import LeftOut, phoneme_pieces
from voiceclone.text.scripts import readable

if TYPE_CHECKING:
    from kokoro import KPipeline

logger = logging.getLogger(__name__)

Voice: TypeAlias = str | torch.Tensor | Callable[[str], torch.Tensor]
"""What KPipeline takes (a stock voice's name, the path of a ``.pt``, or the ``(510, 1, 256)`` tensor), or what makes
that tensor for the phonemes of each piece."""
SPEED_RANGE = (0.25, 4.0)  # factor on the voice's own rate
MAX_FOREIGN = 0.5  # a text with a larger share of unreadable letters is refused


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Duration and processing time of a spoken text."""

    pieces: int
    """Number of pieces of at most 510 phonemes."""
    seconds: float
    """Length of the speech."""
    first_audio_seconds: float
    """Seconds from the call to the first piece of audio."""
    elapsed_seconds: float
    """Seconds from the call to the end of the last piece."""

    @property
    def real_time_factor(self) -> float:
        """Processing time per second of speech."""
        return self.elapsed_seconds / self.seconds


def check_speed(speed: float) -> None:
    """Refuse a speed that Kokoro cannot speak at.

    Raises:
        UsageError: it is out of range.
    """
    if not SPEED_RANGE[0] <= speed <= SPEED_RANGE[1]:
        raise UsageError(f"--speed {speed}: use a number between {SPEED_RANGE[0]} and {SPEED_RANGE[1]}")


def speak(
    pipeline: KPipeline,
    text: str,
    voice: Voice,
    *,
    speed: float = 1.0,
    seed: int = 0,
    left_out: LeftOut | None = None,
) -> Iterator[np.ndarray]:
    """Yield audio ``(T,)`` float32 at 24 kHz, one array per piece of the text (:mod:`voiceclone.text.pieces`).

    Args:
        voice: see :data:`Voice`.
        seed: seed of the harmonic source's phases and noise; the caller's RNG state is kept.
        left_out: collects parts that could not be spoken; logged as warnings when None.

    Raises:
        UsageError: nothing to speak, most of it in a script that the language cannot read, or a speed out of range.
        VoicecloneError: the text cannot be turned into phonemes, or the model gave no finite audio.
    """
    parts = [(text, voice)]
    yield from speak_parts(pipeline, parts, speed=speed, seed=seed, left_out=left_out)


def speak_parts(
    pipeline: KPipeline,
    parts: Sequence[tuple[str, Voice]],
    *,
    speed: float = 1.0,
    seed: int = 0,
    left_out: LeftOut | None = None,
) -> Iterator[np.ndarray]:
    """Speak the parts of a text in order, each with its own voice; otherwise as :func:`speak`.

    Args:
        parts: (text, voice) pairs.
    """
    check_speed(speed)
    found = LeftOut() if left_out is None else left_out
    readable_parts = [(_readable(text, pipeline.lang_code, found), voice) for text, voice in parts]
    spoken = 0
    together = (audio for text, voice in readable_parts for audio in _spoken(pipeline, text, voice, speed, found))
    for audio in _seeded(together, seed, pipeline.model.device):
        spoken += 1
        yield audio
    if not spoken:
        text = " ".join(text for text, _ in parts)
        raise UsageError(f"nothing to say: no word in {text[:40]!r} can be spoken: give some in the language of --lang")
    if left_out is None:
        for warning in found.warnings(LANGUAGES[pipeline.lang_code]):
            logger.warning("%s", warning)


def _spoken(pipeline: KPipeline, text: str, voice: Voice, speed: float, left_out: LeftOut) -> Iterator[np.ndarray]:
    """Audio ``(T,)`` float32, finite, one array per piece of the text."""
    for result in _results(pipeline, text, voice, speed, left_out):
        if result.audio is None:
            continue
        audio = np.atleast_1d(result.audio.detach().cpu().numpy().astype(np.float32))
        if not np.isfinite(audio).all():
            raise VoicecloneError(f"the model gave no finite sound for {text[:40]!r}: is the voice sound?")
        yield audio


def speak_whole(
    pipeline: KPipeline,
    text: str,
    voice: Voice,
    *,
    speed: float = 1.0,
    seed: int = 0,
    left_out: LeftOut | None = None,
) -> np.ndarray:
    """The whole text as one signal ``(T,)``; see :func:`speak`."""
    return np.concatenate(list(speak(pipeline, text, voice, speed=speed, seed=seed, left_out=left_out)))


def deliver(pieces: Iterable[np.ndarray], write: Callable[[np.ndarray], None]) -> Delivery:
    """Pass each piece ``(T,)`` of :func:`speak` to ``write`` as it arrives, and measure the time."""
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
    """Length of a signal ``(T,)`` at 24 kHz."""
    return len(audio) / SAMPLE_RATE


def _readable(text: str, lang: str, left_out: LeftOut) -> str:
    """``text`` without the parts in scripts that ``lang`` cannot read."""
    found = readable(text, lang)
    if found.share_unread > MAX_FOREIGN:
        share = f"{100 * found.share_unread:.0f} %"
        raise UsageError(
            f"{LANGUAGES[lang]} (--lang {lang}) cannot read the script of {share} of the text's letters"
            f" ({found.unread[0][:20]!r}): give the language of the text with --lang"
        )
    left_out.foreign += found.unread
    return found.text


def _seeded(results: Iterator[np.ndarray], seed: int, device: torch.device) -> Iterator[np.ndarray]:
    """``results`` computed with a separate random state, which continues from one to the next.

    The caller's state is restored before each is yielded, because the caller may draw random numbers in between.
    """
    devices = [device] if device.type == "cuda" else []
    states: list[torch.Tensor] | None = None
    while True:
        with torch.random.fork_rng(devices=devices):
            if states is None:
                torch.manual_seed(seed)
            else:
                torch.set_rng_state(states[0])
                for one, state in zip(devices, states[1:], strict=True):
                    torch.cuda.set_rng_state(state, one)
            result = next(results, None)
            states = [torch.get_rng_state(), *(torch.cuda.get_rng_state(one) for one in devices)]
        if result is None:
            return
        yield result


def _results(
    pipeline: KPipeline, text: str, voice: Voice, speed: float, left_out: LeftOut
) -> Iterator[KPipeline.Result]:
    """The pipeline's audio. The various exceptions of the underlying libraries become one."""
    try:
        for phonemes in phoneme_pieces(pipeline, text, pipeline.model.vocab, left_out):
            drawn = voice(phonemes) if callable(voice) else voice
            yield from pipeline.generate_from_tokens(phonemes, voice=drawn, speed=speed)
    except (MemoryError, VoicecloneError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
        raise VoicecloneError(f"the text {text[:40]!r} cannot be spoken ({reason}): reword it") from error
