"""Run ``voiceclone clone`` in a subprocess that can be monitored and stopped."""

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
STOP_SECONDS = 20.0  # seconds to wait for the last checkpoint before the process is killed
# Processes started in the background ignore SIGINT, and their children inherit that: restore the default handler.
_RUN = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
_RUN += "from voiceclone.cli.main import main; sys.exit(main())"


class Training:
    """One run. Its output goes to a temporary file, its losses and audio to TensorBoard events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Path | None = None
        self._events: EventReader | None = None
        self.stopped = False
        self.voice: Path | None = None

    def start(self, arguments: list[str], voice: Path, *, resumed: bool = False) -> None:
        """Run ``voiceclone clone ARGUMENTS``, which writes ``voice``.

        Args:
            arguments: of the command line.
            voice: the file that the run will write.
            resumed: the run continues an earlier one, whose events are then shown as well.

        Raises:
            UsageError: a run is active.
            VoicecloneError: the process cannot be started.
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
                    # A new session: Ctrl-C in the page's terminal does not reach the subprocess directly; stop() sends
                    # one SIGINT.
                    self._process = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, **apart()
                    )
            except OSError as error:
                raise VoicecloneError(f"the training cannot be started: {error.strerror or error}") from error

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def succeeded(self) -> bool:
        """True where the process ended with exit code 0."""
        return self._process is not None and self._process.poll() == 0

    def lines(self) -> list[str]:
        """The last non-empty lines of its output."""
        if self._log is None:
            return []
        with contextlib.suppress(OSError):
            text = self._log.read_text(encoding="utf-8", errors="replace")
            return [line for line in text.splitlines() if line.strip()][-LOG_LINES:]
        return []

    def snapshot(self) -> Snapshot:
        """Losses, mels and audio so far."""
        with self._lock:
            return Snapshot() if self._events is None else self._events.read()

    def stop(self) -> None:
        """Interrupt the training as Ctrl-C does; finished epochs are kept.

        The process is killed where it does not end in time.
        """
        self.stopped = True
        with self._lock:
            process = self._process
        if process is not None and process.poll() is None:
            stop_all([process], STOP_SECONDS)

    def close(self) -> None:
        """Stop the training and delete the temporary file."""
        self.stop()
        self._forget_log()

    def _forget_log(self) -> None:
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None
