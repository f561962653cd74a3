"""SIGTERM and SIGHUP end a command as Ctrl-C does: by default they end its process alone, and its children go on."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))  # Windows: no SIGHUP


class Ended(KeyboardInterrupt):
    """A signal asks the process to end; ``number`` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + number, as a shell reports a process that the signal ended."""
        return 128 + self.number


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """The first SIGTERM or SIGHUP raises :class:`Ended` within the block; the earlier handlers return afterwards.

    Further ones are ignored, because the shell and the terminal may both send one, and the second would interrupt the
    clean-up. A signal that is ignored already (SIGHUP by nohup) stays so. In another thread than the main one the block
    changes nothing, because Python allows handlers in that one alone.

    Raises:
        Ended: such a signal arrived.
    """
    ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        if not ended:
            ended = True
            raise Ended(number)

    earlier = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in ENDING}
        # None: a handler that was not installed by Python, which could not be restored.
        earlier = {number: known for number, known in handlers.items() if known not in (signal.SIG_IGN, None)}
    try:
        for number in earlier:
            signal.signal(number, end)
        yield
    finally:
        for number, known in earlier.items():
            signal.signal(number, known)
