"""Child processes that can be interrupted as by Ctrl-C, on Windows as elsewhere."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_WINDOWS = "win32"


def apart() -> dict[str, Any]:
    """Arguments of ``Popen`` for a process that a Ctrl-C in this terminal does not reach by itself.

    On Windows a process can only be interrupted through the process group that it leads.
    """
    if sys.platform == _WINDOWS:
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200)}
    return {"start_new_session": True}


def interrupt(process: subprocess.Popen[Any]) -> None:
    """Ask a process started with :func:`apart` to end, as Ctrl-C does; one that has ended is left alone.

    Windows has no SIGINT for other processes (``send_signal`` raises), so Ctrl-Break is sent there.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it ended meanwhile
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", 1) if sys.platform == _WINDOWS else signal.SIGINT)


def stop_all(processes: Sequence[subprocess.Popen[Any]], seconds: float) -> None:
    """Interrupt processes and wait; what has not ended after ``seconds`` is killed."""
    for process in processes:
        interrupt(process)
    for process in processes:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def let_break_interrupt() -> None:
    """On Windows, let Ctrl-Break raise ``KeyboardInterrupt``, too; by default it ends the process at once."""
    if sys.platform == _WINDOWS and hasattr(signal, "SIGBREAK"):
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGBREAK, signal.default_int_handler)
