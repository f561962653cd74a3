"""Clones on a Ray cluster. Ray schedules them, assigns GPUs, and retries those whose machine is lost.

Datasets, custom bases and the output folder must be on storage that every machine mounts under the same path. A retried
clone resumes at the last epoch in its folder.
"""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.bases.stock_names import placed_base
from voiceclone.cloning.batch.plan import BatchRow
from voiceclone.cloning.batch.run import Made
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError, VoicecloneError, one_line, speaking_of_flags
from voiceclone.system.extras import require
from voiceclone.tracking.progress import QUIET, Reporter

Clone = Callable[[CloneConfig, Reporter], object]
"""A function that makes one voice. Workers import it by its name."""
RETRIES = 3
ANSWER_SECONDS = 10.0
"""Timeout in seconds for a connection to the head of the cluster."""
_ORPHAN_SECONDS = 30  # seconds for which a worker may still write after its machine was declared lost


def _knock(address: str) -> None:
    """Open one connection to ``HOST:PORT`` or ``ray://HOST:PORT``, because Ray itself retries for minutes.

    Raises:
        OSError: the connection was refused or timed out.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():  # not "auto"
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS):
            pass


@dataclass(frozen=True, kw_only=True)
class ClusterRunner:
    """Runs clones as tasks of a Ray cluster."""

    address: str
    """``auto`` (the cluster of this machine), ``HOST:PORT`` or ``ray://HOST:PORT``."""
    gpus: float | None = None
    """GPUs for each clone. With 0.25, four clones share one. None: 1 where the cluster has GPUs, else 0."""
    cpus: float = 1.0
    """CPUs for each clone, and its number of threads."""
    retries: int = RETRIES
    """Maximum number of retries of a clone whose worker or machine was lost."""
    clone: Clone | None = None
    """Makes each voice; None: :func:`voiceclone.cloning.api.clone_with`, which cannot fit a voice of a VITS2."""

    def clones(self, rows: Sequence[BatchRow]) -> Generator[Made, None, None]:
        """See :class:`voiceclone.cloning.batch.run.Runner`.

        Raises:
            MissingPackageError: Ray is not installed.
            VoicecloneError: the cluster does not answer, or lacks the requested resources.
        """
        require("cluster", what="--address")
        import ray

        if not rows:
            return
        opened = not ray.is_initialized()
        if opened:
            self._connect()
        try:
            yield from self._run(ray, rows)
        finally:
            if opened:
                ray.shutdown()

    def _connect(self) -> None:
        import ray

        quiet = {} if self.address.startswith("ray://") else {"log_to_driver": False, "configure_logging": False}
        try:
            _knock(self.address)
            ray.init(address=self.address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError, TimeoutError) as error:
            raise VoicecloneError(
                f"--address {self.address}: no Ray cluster answers ({one_line(error)[:160]}): start one with "
                "`ray start --head`, and `ray start --address HEAD:6379` on the other machines"
            ) from error

    def _run(self, ray: Any, rows: Sequence[BatchRow]) -> Generator[Made, None, None]:
        there = ray.cluster_resources()
        gpus = self.gpus if self.gpus is not None else float(there.get("GPU", 0.0) > 0)
        for name, wanted in (("GPU", gpus), ("CPU", self.cpus)):
            if wanted > there.get(name, 0.0):
                raise VoicecloneError(
                    f"--address {self.address}: a clone asks for {wanted:g} {name}, the cluster has "
                    f"{there.get(name, 0.0):g}: ask for less"
                )
        # One process for each clone, so that its memory and GPU are released at its end.
        task = ray.remote(max_calls=1, max_retries=self.retries, num_cpus=self.cpus, num_gpus=gpus)(clone_one)
        waiting = {}
        try:
            for row in rows:
                try:
                    waiting[task.remote(portable(row.config), self.clone)] = row
                except VoicecloneError as error:  # another process writes to its folder
                    yield Made(row=row, error=str(error))
            while waiting:
                (done, *_), _ = ray.wait(list(waiting), num_returns=1)
                row = waiting.pop(done)
                yield self._made(ray, row, done)
        finally:
            for ref in waiting:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(ref)  # acts as Ctrl-C: finished epochs are kept

    def _made(self, ray: Any, row: BatchRow, done: Any) -> Made:
        try:
            error, said = ray.get(done)
        except ray.exceptions.RayTaskError as failure:
            return Made(row=row, error=one_line(failure.cause if failure.cause is not None else failure))
        except ray.exceptions.RayError as failure:
            return Made(row=row, error=f"lost on the cluster {self.retries + 1} times: {one_line(failure)[:300]}")
        return Made(row=row, error=error, said=said)


def portable(config: CloneConfig) -> dict[str, Any]:
    """The settings of a clone for another process: with absolute paths, and without ``overwrite``.

    With ``overwrite``, an earlier run is deleted here, so that a retried clone never starts from the beginning.
    """
    if config.overwrite:
        folder = RunFolder(config.folder)
        with folder.locked():
            folder.clear()
    places = {name: str(Path(getattr(config, name)).resolve()) for name in ("data", "out")}
    return {**config.as_dict(), **places, "base": placed_base(config.base), "resume": "auto", "overwrite": False}


def clone_one(settings: Mapping[str, Any], clone: Clone | None = None) -> tuple[str, str]:
    """Task of a worker: run one clone. Returns its error (empty on success) and its output."""
    from voiceclone.cloning.api import clone_with

    config, said = CloneConfig(**settings), io.StringIO()
    with speaking_of_flags():
        try:
            _wait_until_free(RunFolder(config.folder))
            (clone or clone_with)(config, Reporter(QUIET, said))
        except VoicecloneError as error:
            return str(error), said.getvalue()
    return "", said.getvalue()


def _wait_until_free(folder: RunFolder) -> None:
    """Wait until an abandoned worker releases the folder. If it does not, the clone itself reports that."""
    for _ in range(_ORPHAN_SECONDS):
        try:
            with folder.locked():
                return
        except UsageError:
            time.sleep(1.0)
