"""Clones on this machine: a pool of processes with a queue of free GPUs."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from voiceclone.cloning.batch.plan import BatchRow
from voiceclone.cloning.batch.run import Made
from voiceclone.cloning.config import CloneConfig
from voiceclone.files import write_json
from voiceclone.system.processes import apart, stop_all

_STOP_SECONDS = 20  # seconds an interrupted clone has before it is killed
# A batch in the background of a script ignores SIGINT, and its clones inherit that: restore the default handler.
_RUN = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
_RUN += "from voiceclone.cli.main import main; sys.exit(main())"
LAST_LINES = 400  # maximum number of characters kept of a failed clone's last output line


class LocalRunner:
    """Runs ``processes`` clones at a time, each in a subprocess.

    A ``ProcessPoolExecutor`` is not used: a crash in native code would break the whole pool, and its processes are
    reused. A subprocess can be interrupted, and its visible GPU is set before it starts.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._free: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for gpu in gpus_of_slots(os.environ, processes):
            self._free.put(gpu)
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def clones(self, rows: Sequence[BatchRow]) -> Generator[Made, None, None]:
        """See :class:`voiceclone.cloning.batch.run.Runner`."""
        with ThreadPoolExecutor(self.processes) as pool:
            try:
                waiting = [pool.submit(self._make, row) for row in rows]
                for done in as_completed(waiting):
                    yield done.result()
            except BaseException:  # Ctrl-C, another ending signal, or the generator was closed
                self._stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _make(self, row: BatchRow) -> Made:
        gpu = self._free.get()  # never blocks: there are as many slots as threads
        try:
            code, said = self._clone(row.config, gpu)
        except OSError as error:
            return Made(row=row, error=str(error))
        finally:
            self._free.put(gpu)
        failed = last_words(said) or f"the clone ended with code {code}"
        return Made(row=row, error=failed if code else "", said=said)

    def _clone(self, config: CloneConfig, gpu: str | None) -> tuple[int, str]:
        with tempfile.TemporaryDirectory(prefix="voiceclone-batch-") as folder:
            path = Path(folder) / "config.json"
            write_json(path, settings_of(config))
            command = [sys.executable, "-c", _RUN, "clone", "--config", str(path), "--quiet"]
            environment = {**os.environ, **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})}
            with self._lock:
                if self._stopped:
                    return 130, "interrupted"
                process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE, text=True, errors="replace", **apart(),
                )  # fmt: skip
                self._running.add(process)
            _, said = process.communicate()
            with self._lock:
                self._running.discard(process)
        return process.returncode, said

    def _stop(self) -> None:
        """Interrupt the running clones as Ctrl-C does. Finished epochs are kept."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        stop_all(running, _STOP_SECONDS)


def settings_of(config: CloneConfig) -> dict[str, Any]:
    """The settings of one clone of a batch. It resumes an earlier run unless ``overwrite`` is set."""
    given = {name: value for name, value in config.as_dict().items() if value not in (None, "")}
    return {**given, "resume": None if config.overwrite else "auto"}


def gpus_of_slots(inherited: Mapping[str, str], slots: int) -> list[str | None]:
    """A visible GPU for each parallel clone, round robin; None where there is no GPU."""
    gpus = _gpus(inherited)
    return [gpus[slot % len(gpus)] if gpus else None for slot in range(slots)]


def _gpus(inherited: Mapping[str, str]) -> list[str]:
    if "CUDA_VISIBLE_DEVICES" in inherited:
        return [name.strip() for name in inherited["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def last_words(said: str) -> str:
    """The line that describes the failure: the last error line, or else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1].removeprefix("error: ")[-LAST_LINES:]
