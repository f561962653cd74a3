"""``voiceclone clone`` in a process of its own, so that it can be watched and stopped."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.system.processes import apart, stop_all
from voiceclone.ui.events import EventReader, Snapshot

LOG_LINES = 200
STOP_SECONDS = 20.0  # for the last checkpoint; then the process is ended
# A process started in the background ignores Ctrl-C, and so would its children.
_RUN = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
_RUN += "from voiceclone.cli.main import main; sys.exit(main())"


class Training:
    """One run; its lines go to a temporary file, its curves and sounds to TensorBoard events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._log: Path | None = None
        self._events: EventReader | None = None
        self.stopped = False
        self.voice: Path | None = None

    def start(self, arguments: list[str], voice: Path, *, resumed: bool = False) -> None:
        """Run ``voiceclone clone ARGUMENTS``, which is to make ``voice``.

        Args:
            resumed: whether the run goes on with an earlier one, whose events then count, too.

        Raises:
            UsageError: it is running already.
        """
        with self._lock:
            if self.running:
                raise UsageError("a training is going on: wait for it, or stop it")
            if self.stopped:
                return
            self._forget_log()
            handle, log = tempfile.mkstemp(prefix="voiceclone-ui-", suffix=".log")
            self._log, self.voice = Path(log), voice
            self._events = EventReader(voice.parent, since=0.0 if resumed else time.time())
            command = [sys.executable, "-c", _RUN, "clone", *arguments, "--tensorboard"]
            try:
                with open(handle, "wb") as lines:
                    # A session of its own: Ctrl-C in the page's terminal is handed on by stop(), once.
                    self._process = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, **apart()
                    )
            except OSError as error:
                raise VoicecloneError(f"the training cannot be started: {error.strerror or error}") from error

    @property
    def running(self) -> bool:
        """Whether it is going on."""
        return self._process is not None and self._process.poll() is None

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return self._process is not None and self._process.poll() == 0

    def lines(self) -> list[str]:
        """The last lines of its output that say something."""
        if self._log is None:
            return []
        with contextlib.suppress(OSError):
            text = self._log.read_text(encoding="utf-8", errors="replace")
            return [line for line in text.splitlines() if line.strip()][-LOG_LINES:]
        return []

    def snapshot(self) -> Snapshot:
        """Curves, picture and sound so far."""
        with self._lock:
            return Snapshot() if self._events is None else self._events.read()

    def stop(self) -> None:
        """As Ctrl-C does: finished epochs are kept; what does not end by itself is ended."""
        self.stopped = True
        with self._lock:
            process = self._process
        if process is not None and process.poll() is None:
            stop_all([process], STOP_SECONDS)

    def close(self) -> None:
        """Stop, and remove the temporary file."""
        self.stop()
        self._forget_log()

    def _forget_log(self) -> None:
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None
