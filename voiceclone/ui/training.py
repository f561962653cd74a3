"""One training at a time, run by the command line in a process of its own, so that it can be watched and stopped."""

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

LOG_LINES = 12
STOP_SECONDS = 20.0  # for the last checkpoint; then the process is ended
# A process started in the background ignores Ctrl-C, and so would its children.
_RUN = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
_RUN += "from voiceclone.cli.main import main; sys.exit(main())"


class Training:
    """``voiceclone clone`` as a subprocess; its lines go to a temporary file, its curves to TensorBoard events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._log: Path | None = None
        self._events: EventReader | None = None
        self._stopped = False
        self.voice: Path | None = None

    def start(self, arguments: list[str], voice: Path) -> None:
        """Run ``voiceclone clone ARGUMENTS``, which is to make ``voice``.

        Raises:
            UsageError: a training is going on.
        """
        with self._lock:
            if self.running:
                raise UsageError("a training is going on: wait for it, or stop it")
            self._forget_log()
            handle, log = tempfile.mkstemp(prefix="voiceclone-ui-", suffix=".log")
            self._log, self.voice, self._stopped = Path(log), voice, False
            self._events = EventReader(voice.parent, since=time.time())
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
    def status(self) -> str:
        """One line: what it is doing, or how it ended."""
        if self._process is None:
            return "No training yet."
        if self.running:
            return f"Training: {self._last_line()}"
        if self._process.returncode == 0:
            return f"Done: {self.voice}"
        if self._stopped:
            return "Stopped. Finished epochs are kept: go on with “resume”."
        return f"Failed: {self._last_line()}"

    def lines(self) -> str:
        """The last lines of its output."""
        if self._log is None:
            return ""
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
        return ""

    def snapshot(self) -> Snapshot:
        """Curves, picture and sound so far."""
        with self._lock:
            return Snapshot() if self._events is None else self._events.read()

    def stop(self) -> None:
        """As Ctrl-C does: finished epochs are kept; what does not end by itself is ended."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self._stopped = True
        stop_all([process], STOP_SECONDS)

    def close(self) -> None:
        """Stop, and remove the temporary file."""
        self.stop()
        self._forget_log()

    def _last_line(self) -> str:
        found = [line for line in self.lines().splitlines() if line.strip()]
        return found[-1] if found else "starting"

    def _forget_log(self) -> None:
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None
