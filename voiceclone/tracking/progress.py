"""Progress output: bars with rate and ETA on a terminal, occasional plain lines elsewhere, nothing when quiet.

If the terminal is lost (closed stream, broken pipe), output ends, and the work continues.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TextIO

from voiceclone.errors import as_called, shown

QUIET, NORMAL, VERBOSE = -1, 0, 1
PLAIN_INTERVAL = 10.0  # seconds between two plain lines of one task, at least
SHOWN = {"shown_as_progress": True}
"""``extra`` of log messages that a reporter shows itself."""


class Reporter:
    """Writes lines and progress to a stream, according to the verbosity.

    Args:
        verbosity: -1 warnings only, 0 lines and progress, 1 also details.
        stream: where to write; standard error when None.
        interval: seconds between two plain progress lines of one task, at least.
        clock: seconds from a monotonic clock.
    """

    def __init__(
        self,
        verbosity: int = NORMAL,
        stream: TextIO | None = None,
        *,
        interval: float = PLAIN_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.verbosity = verbosity
        self.interval = interval
        self.clock = clock
        self.elapsed: dict[str, float] = {}  # seconds of each task that ended, by label; repeated tasks are added up
        self.stream = _SafeStream(sys.stderr if stream is None else stream)
        self.uses_bars = self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def info(self, line: str) -> None:
        """Write a line unless quiet."""
        if self.verbosity >= NORMAL:
            self.write(line)

    def warn(self, line: str) -> None:
        """Write a warning, in quiet mode as well."""
        self.write(f"warning: {line}")

    def detail(self, line: str) -> None:
        """Write a line in verbose mode only."""
        if self.verbosity >= VERBOSE:
            self.write(line)

    def task(
        self,
        label: str,
        *,
        total: int | None = None,
        unit: str = "step",
        done: int = 0,
        following: Callable[[float], float] | None = None,
    ) -> Progress:
        """A task with countable units, to be used in a ``with`` statement.

        Args:
            label: name of the task, such as "Style extraction".
            total: how many units there are, None when that is unknown.
            unit: the singular name of one unit.
            done: units that an earlier, resumed run has finished; they do not count for the rate.
            following: seconds of the work that follows the task, from the seconds that one unit takes; the time left
                then includes them.
        """
        return Progress(self, label, total=total, unit=unit, done=done, following=following)

    def write(self, line: str) -> None:
        """Write one line above any bars now on display."""
        line = shown(as_called(line))  # names of files may contain terminal escapes
        if self.uses_bars:
            from tqdm import tqdm

            tqdm.write(line, file=self.stream)
        else:
            self.stream.write(line + "\n")
            self.stream.flush()


class Progress:
    """One task's progress; see ``Reporter.task``."""

    def __init__(
        self,
        reporter: Reporter,
        label: str,
        *,
        total: int | None,
        unit: str,
        done: int,
        following: Callable[[float], float] | None = None,
    ) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done = done
        self._reporter, self._following = reporter, following
        self._first = done
        self._started = self._spoken = reporter.clock()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        self._started = self._spoken = self._reporter.clock()
        if self._reporter.verbosity >= NORMAL and self._reporter.uses_bars:
            self._bar = _open_bar(self, self._reporter.stream)
        return self

    def advance(self, count: int = 1, note: str = "", *, seconds_left: float | None = None) -> None:
        """Count ``count`` more units as done.

        Args:
            note: a short remark such as "loss 0.43".
            seconds_left: of work that ends at a time and not at a number of units.
        """
        self.done += count
        if self._bar is not None:
            # The bar itself shows the time left of the task alone.
            given = seconds_left is not None or self._following is not None
            left = self._left(self._reporter.clock(), seconds_left) if given else ""
            if said := ", ".join(filter(None, (left, note))):
                self._bar.set_postfix_str(said, refresh=False)
            self._bar.update(count)
        elif self._reporter.verbosity >= NORMAL:
            self._speak(note, seconds_left)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        elapsed = self._reporter.elapsed
        elapsed[self.label] = elapsed.get(self.label, 0.0) + self._reporter.clock() - self._started
        if self._bar is not None:
            self._bar.close()
        elif self._reporter.verbosity >= NORMAL:
            self._reporter.write(self._last_line(failed=kind is not None))

    def _speak(self, note: str, seconds_left: float | None) -> None:
        """Write a plain line when the last one is old enough."""
        now = self._reporter.clock()
        if now - self._spoken < self._reporter.interval:
            return
        self._spoken = now
        parts = [f"{self.label}: {self._count()}"]
        if rate := self._rate(now):
            parts.append(format_rate(rate, self.unit))
        if left := self._left(now, seconds_left):
            parts.append(left)
        if note:
            parts.append(note)
        self._reporter.write(", ".join(parts))

    def _left(self, now: float, seconds_left: float | None) -> str:
        """The time left of the task, and of what follows it; empty if it is not known."""
        rate = self._rate(now)
        if seconds_left is None and rate and self.total is not None and self.total > self.done:
            seconds_left = (self.total - self.done) / rate
        if seconds_left is None:
            return ""
        if self._following is None or not rate:
            return f"{format_seconds(seconds_left)} left"
        return f"about {format_seconds(seconds_left + self._following(1.0 / rate))} left in all"

    def _last_line(self, *, failed: bool) -> str:
        now = self._reporter.clock()
        rate = self._rate(now)
        speed = f" ({format_rate(rate, self.unit)})" if rate else ""
        stopped = "stopped at " if failed else ""
        return f"{self.label}: {stopped}{self._count()} in {format_seconds(now - self._started)}{speed}"

    def _count(self) -> str:
        of_total = "" if self.total is None else f"/{self.total}"
        number = self.done if self.total is None else self.total
        return f"{self.done}{of_total} {self.unit}{'' if number == 1 else 's'}"

    def _rate(self, now: float) -> float:
        """Units per second since the task began in this process; 0 if not known yet."""
        elapsed = now - self._started
        return (self.done - self._first) / elapsed if elapsed > 0 else 0.0


@contextlib.contextmanager
def log_goes_to(reporter: Reporter) -> Iterator[None]:
    """Within the block what the package logs is written by the reporter, so that no line breaks a bar.

    The reporter takes the place of handlers that write to a terminal. Messages with :data:`SHOWN`, and those below
    INFO, are for the remaining ones, which write to files.
    """
    logger, handler = logging.getLogger("voiceclone"), _Handler(reporter)
    before = logger.level, logger.propagate
    replaced = [one for one in logger.handlers if type(one) is logging.StreamHandler]  # not its subclass for files
    for one in replaced:
        logger.removeHandler(one)
    logger.addHandler(handler)
    logger.setLevel(min(logger.level or logging.INFO, logging.INFO))
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        for one in replaced:
            logger.addHandler(one)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class _Handler(logging.Handler):
    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.INFO)
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        if SHOWN.keys() <= vars(record).keys():
            return
        write = self.reporter.warn if record.levelno >= logging.WARNING else self.reporter.info
        write(record.getMessage())


def format_rate(rate: float, unit: str) -> str:
    """A rate as "2.1 clips/s", or as "3.2 s/clip" when it is below one per second."""
    return f"{rate:.1f} {unit}s/s" if rate >= 1 else f"{1 / rate:.1f} s/{unit}"


def format_seconds(seconds: float) -> str:
    """A duration as "4.2 s", "42 s", "3 min 05 s" or "2 h 07 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _open_bar(task: Progress, stream: _SafeStream) -> Any:
    """A tqdm bar without tqdm's watcher thread: a library must not leave threads behind."""
    from tqdm import tqdm

    class Bar(tqdm):
        monitor_interval = 0

    return Bar(
        total=task.total, initial=task.done, desc=task.label, unit=f" {task.unit}", file=stream, dynamic_ncols=True
    )


class _SafeStream:
    """A text stream that drops output instead of raising when its reader is gone."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        if self._stream is None:
            return 0
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:  # a ValueError too, but the stream works: write what it can encode
            return self.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._stream = None
            return 0

    def flush(self) -> None:
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return bool(self._stream is not None and self._stream.isatty())
        return False

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("the stream is gone")
        return self._stream.fileno()
