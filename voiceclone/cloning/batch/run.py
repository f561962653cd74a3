"""Clone the voices of a table, each in a process of its own, several at once; what is finished is not made again."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.cloning.batch.plan import BatchRow
from voiceclone.cloning.batch.report import FAILED, FINISHED, Outcome, figures, write_outcome, write_report
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_text
from voiceclone.system.processes import apart, stop_all
from voiceclone.tracking.trackers import LOST

if TYPE_CHECKING:
    from voiceclone.tracking.progress import Reporter

# What a launcher of several processes sets: a clone that inherited it would wait for the others.
_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
_LAUNCHER_PREFIXES = ("ACCELERATE_", "TORCHELASTIC_", "FSDP_", "OMPI_", "PMI_")
_STOP_SECONDS = 20  # that an interrupted clone has to stop by itself
LAST_LINES = 400  # characters of what a failed clone said last


@dataclass(frozen=True, kw_only=True)
class Place:
    """This process among those that share the table: one of ``count``, started by a launcher or alone."""

    index: int = 0
    count: int = 1

    def share(self, rows: Sequence[BatchRow]) -> list[BatchRow]:
        """Every ``count``-th row, beginning with the ``index``-th."""
        return list(rows[self.index :: self.count])


def run_batch(
    rows: Sequence[BatchRow], out: Path, *, processes: int, place: Place, reporter: Reporter
) -> list[Outcome]:
    """Clone this process's share of ``rows``, ``processes`` at once; returns its outcomes in the table's order.

    A voice that fails does not stop the others. The report covers the whole table, so whoever finishes last
    completes it.
    """
    mine = place.share(rows)
    outcomes: dict[str, Outcome] = {}
    clones = _Clones(gpus_of_slots(os.environ, processes))
    reporter.info(f"{len(rows)} voices" + (f", {len(mine)} of them here" if place.count > 1 else ""))
    with reporter.task("Voices", total=len(mine), unit="voice") as task, ThreadPoolExecutor(processes) as pool:
        waiting = {pool.submit(clones.make, row): row for row in mine}
        try:
            for done in as_completed(waiting):
                outcome = done.result()
                outcomes[outcome.name] = outcome
                write_outcome(out, outcome)
                write_report(out, rows)
                if outcome.status == FAILED:
                    reporter.warn(f"{outcome.name} failed: {outcome.error}")
                elif outcome.kept:
                    reporter.info(f"{outcome.name}: finished earlier, kept as it is")
                for line in clones.told.pop(outcome.name, []):
                    reporter.warn(f"{outcome.name}: {line}")
                task.advance(1, note=outcome.name)
        except BaseException:
            clones.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [outcomes[row.config.name] for row in mine]


class _Clones:
    """The clones now running, each on a GPU that no other one has taken where there are enough.

    Args:
        gpus: one for each clone that may run at once; None where there is none.
    """

    def __init__(self, gpus: Sequence[str | None]) -> None:
        self._free: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for gpu in gpus:
            self._free.put(gpu)
        self.told: dict[str, list[str]] = {}  # by voice: what its clone said of its trackers
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def make(self, row: BatchRow) -> Outcome:
        """Clone one voice unless it is finished."""
        config, folder = row.config, RunFolder(row.config.folder)
        outcome = Outcome(name=config.name, line=row.line, folder=str(folder.path))
        try:
            if folder.is_finished() and not config.overwrite:
                if other := other_settings(config, folder):
                    return replace(outcome, status=FAILED, error=other)
                figures(folder)  # a damaged report is no finished voice
                return replace(outcome, status=FINISHED, kept=True)
            gpu = self._free.get()  # never waits: there are as many as threads
            try:
                code, said = self._clone(config, gpu)
            finally:
                self._free.put(gpu)
        except (VoicecloneError, OSError) as error:
            return replace(outcome, status=FAILED, error=str(error))
        if code == 0 and folder.is_finished():
            return replace(outcome, status=FINISHED)
        return replace(outcome, status=FAILED, error=said or f"the clone ended with code {code}")

    def _clone(self, config: CloneConfig, gpu: str | None) -> tuple[int, str]:
        with tempfile.TemporaryDirectory(prefix="voiceclone-batch-") as folder:
            settings = {key: value for key, value in config.as_dict().items() if value not in (None, "")}
            path = Path(folder) / "config.json"
            write_text(path, json.dumps({**settings, "resume": None if config.overwrite else "auto"}))
            command = [sys.executable, "-m", "voiceclone", "clone", "--config", str(path), "--quiet"]
            with self._lock:
                if self._stopped:
                    return 130, "interrupted"
                process = subprocess.Popen(
                    command, env=environment(os.environ, gpu), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE, text=True, errors="replace", **apart(),
                )  # fmt: skip
                self._running.add(process)
            _, said = process.communicate()
            with self._lock:
                self._running.discard(process)
        self.told[config.name] = of_trackers(said)
        return process.returncode, last_words(said)

    def stop(self) -> None:
        """Interrupt what runs, as Ctrl-C does: each clone keeps its finished epochs."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        stop_all(running, _STOP_SECONDS)


def other_settings(config: CloneConfig, folder: RunFolder) -> str:
    """Why the finished voice in ``folder`` is not the one that ``config`` asks for; empty where it is."""
    try:
        made = json.loads((folder.path / "config.json").read_text(encoding="utf-8"))
        with contextlib.suppress(UsageError):  # a part that cannot be left out any more: the voice is another one
            made["without"] = CloneConfig(data="", without=str(made.get("without", ""))).without
        different = [
            name for name, value in {**config.decisive(), "base": config.base}.items() if made.get(name) != value
        ]
        if Path(made.get("data", "")).resolve() != Path(config.data).resolve():
            different.append("data")
    except (OSError, ValueError, AttributeError, TypeError):
        return f"{folder.path}: its config.json cannot be read: make the voice again with --overwrite"
    if not different:
        return ""
    return f"{folder.voice} was made with other settings ({', '.join(different)}): choose another name, or --overwrite"


def gpus_of_slots(inherited: Mapping[str, str], slots: int) -> list[str | None]:
    """The visible GPU of each of the clones that may run at once; None where there is none.

    Under a launcher each of its processes has a GPU of its own already (LOCAL_RANK), and its clones take that one.
    """
    gpus = _gpus(inherited)
    return [gpus[int(inherited.get("LOCAL_RANK", slot)) % len(gpus)] if gpus else None for slot in range(slots)]


def environment(inherited: Mapping[str, str], gpu: str | None) -> dict[str, str]:
    """The environment of a clone: no launcher in it, and one GPU where there is one."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _LAUNCHER and not name.startswith(_LAUNCHER_PREFIXES)
    }
    return kept if gpu is None else {**kept, "CUDA_VISIBLE_DEVICES": gpu}


def _gpus(inherited: Mapping[str, str]) -> list[str]:
    if "CUDA_VISIBLE_DEVICES" in inherited:
        return [name.strip() for name in inherited["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def of_trackers(said: str) -> list[str]:
    """What a clone warned of that concerns --tensorboard and --wandb: nothing else tells that they do not apply."""
    lines = [line.strip().removeprefix("warning: ") for line in said.splitlines() if line.startswith("warning: ")]
    return [line for line in lines if any(part in line for part in LOST)]


def last_words(said: str) -> str:
    """The line that says what went wrong: the last error line, or the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1].removeprefix("error: ")[-LAST_LINES:]
