"""One synthesis at a time, in a thread; a bounded number of others wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING

from voiceclone.audio.stream import STREAMS, encoded, sound_stream
from voiceclone.serving.requests import ApiError
from voiceclone.text.g2p import notice_of
from voiceclone.text.pieces import LeftOut
from voiceclone.voice.speaking import seconds, speak_parts

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from voiceclone.bases.base import Base
    from voiceclone.tracking.progress import Reporter


@dataclass(frozen=True, kw_only=True)
class SpeechJob:
    """A text to synthesise."""

    parts: tuple[tuple[str, Tensor], ...] = field(repr=False)
    """(text, voice ``(510, 1, 256)``) pairs."""
    form: str
    speed: float
    volume: float
    stream: bool
    lang: str


class SpeechStream:
    """The bytes of one job as they are produced; iterated once.

    The job's thread never waits for a slow client: its output is buffered here, bounded by the length of the text.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.stopped = threading.Event()

    def put(self, item: bytes | BaseException | None) -> None:
        """Add the next bytes, an exception, or None for the end; from any thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def next(self) -> bytes | None:
        """The next bytes; None at the end.

        Raises:
            Exception: the error of the job.
        """
        item = await self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    async def rest(self, first: bytes) -> AsyncIterator[bytes]:
        """``first`` and all following bytes; the job ends if the iteration is abandoned."""
        content: bytes | None = first
        try:
            while content is not None:
                yield content
                content = await self.next()
        finally:
            self.stopped.set()


class Engine:
    """Synthesises jobs in the order of arrival.

    Args:
        base: its model is on the device that synthesises.
        waiting: jobs that may wait while one is processed.
        seed: of the vocoder's noise, the same for every job.
    """

    def __init__(self, base: Base, *, waiting: int, reporter: Reporter, seed: int = 0) -> None:
        self._base, self._seed, self._reporter = base, seed, reporter
        self._pipeline = cache(base.pipeline)
        self._most, self._present = waiting + 1, 0
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def prepare(self, lang: str) -> None:
        """Build the G2P of a language, so that the first request does not wait for it.

        Raises:
            UsageError: the language needs packages that are not installed.
        """
        if notice := notice_of(self._pipeline(lang)):
            self._reporter.warn(notice)

    def reserve(self) -> None:
        """Take a place for a job; :meth:`start` or :meth:`release` has to follow.

        Raises:
            ApiError: too many are waiting (503).
        """
        if self._present >= self._most:
            message = f"{self._most} requests are being spoken or wait: try again in a moment"
            raise ApiError(503, message, code="queue_full")
        self._present += 1

    def release(self) -> None:
        """Give the place back, where there is no job after all."""
        self._present -= 1

    def start(self, job: SpeechJob) -> SpeechStream:
        """Queue a job in the place that was reserved for it."""
        speech = SpeechStream()
        task = asyncio.create_task(self._run(job, speech))
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)
        return speech

    async def _run(self, job: SpeechJob, speech: SpeechStream) -> None:
        try:
            async with self._turn:
                if not speech.stopped.is_set():
                    await asyncio.to_thread(self._speak, job, speech)
        finally:
            self.release()
            speech.stopped.set()  # also at shutdown: its thread is joined

    def _speak(self, job: SpeechJob, speech: SpeechStream) -> None:
        """Runs in the job's thread."""
        started, length, left_out = time.perf_counter(), 0.0, LeftOut()
        try:
            pipeline = self._pipeline(job.lang)
            pieces = speak_parts(pipeline, job.parts, speed=job.speed, seed=self._seed, left_out=left_out)
            with _Output(job, speech) as write:
                for audio in pieces:
                    if speech.stopped.is_set():
                        return
                    write(audio * job.volume)
                    length += seconds(audio)
        except Exception as error:  # passed to the client
            speech.put(error)
            return
        speech.put(None)
        characters = sum(len(text) for text, _ in job.parts)
        took = time.perf_counter() - started
        self._reporter.info(f"spoken: {characters} characters, {length:.1f} s of {job.form} in {took:.1f} s")


class _Output:
    """A function for pieces of audio: sent at once if the format allows it, else together at the end."""

    def __init__(self, job: SpeechJob, speech: SpeechStream) -> None:
        self._job, self._speech, self._pieces = job, speech, list["np.ndarray"]()
        self._stream = sound_stream(_Sender(speech), job.form) if job.stream and job.form in STREAMS else None

    def __enter__(self) -> Callable[[np.ndarray], None]:
        return self._pieces.append if self._stream is None else self._stream.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.__exit__(kind, error, trace)
        elif kind is None and not self._speech.stopped.is_set():
            self._speech.put(encoded(self._pieces, self._job.form))


class _Sender:
    """The target of a stream."""

    def __init__(self, speech: SpeechStream) -> None:
        self._speech = speech

    def write(self, content: bytes) -> None:
        self._speech.put(content)

    def flush(self) -> None:
        """Nothing to do: bytes are passed on at once."""
