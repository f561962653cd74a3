"""Device selection, and process groups that train one base.

The processes are started by ``accelerate launch``. Every process holds the whole model and processes its share of the
rows of every batch; the gradients are summed by all-reduce. The model is not wrapped in DistributedDataParallel, which
expects one forward pass per step: a step here runs parts of the model several times, and some parts not in every step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.errors import UsageError, VoicecloneError

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")
STEP_TIMEOUT = timedelta(minutes=30)
"""How long a collective operation of a step waits for the other processes."""
PREPARATION_TIMEOUT = timedelta(days=7)
"""How long the others wait while the main process computes features; a process that ends is noticed at once."""
BUCKET = 1 << 24  # values per all-reduce: one copy of all gradients would take too much memory
_RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # variables that keep oneDNN from newer instructions


class ProcessLostError(VoicecloneError):
    """Another process of the run stopped or does not answer."""


def choose_device(wanted: str) -> torch.device:
    """``auto`` selects CUDA if available, else the CPU. MPS, which is untested, must be named.

    Raises:
        UsageError: the wanted device is not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available.get(wanted, False):
        there = ", ".join(name for name, is_there in available.items() if is_there)
        raise UsageError(f"--device {wanted}: not available on this machine; available: {there} (or use --device auto)")
    return torch.device(wanted)


def convolution_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype of the frozen decoder's convolutions; None for float32.

    ``auto`` selects bfloat16 on CPUs with Intel AMX, which multiplies it eight times as fast as float32. On CPUs with
    only AVX-512 bfloat16 instructions, or none, bfloat16 is slower than float32.
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cpu" and _has_matrix_units() else None
    return torch.bfloat16 if precision == "bfloat16" else None


def _has_matrix_units() -> bool:
    limited = any("AMX" not in os.environ.get(name, "AMX").upper() for name in _ISA_LIMITS)
    return bool(torch.cpu.get_capabilities().get("amx_bf16")) and not limited


def make_accelerator(device: torch.device, *, timeout: timedelta | None = None) -> Accelerator:
    """An ``accelerate`` accelerator for one run on ``device``; the state of earlier runs in this process is reset.

    Args:
        timeout: how long an operation waits for other processes, if the run has several.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    AcceleratorState._reset_state(reset_partial_state=True)
    handlers = [] if timeout is None else [InitProcessGroupKwargs(timeout=timeout)]
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=handlers)


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """The processes that train together; the default is a single process."""

    device: torch.device = torch.device("cpu")
    rank: int = 0
    world_size: int = 1
    waiting: Any = None
    """Group of ``torch.distributed`` for long waits."""
    accelerator: Accelerator | None = None
    """The accelerator that opened the process group, if there are several processes."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes, prints and tracks."""
        return self.rank == 0

    def rows(self, count: int) -> tuple[list[int], float]:
        """This process's rows of a batch of ``count``, and their share of it (0 to 1).

        If there are fewer rows than processes, the remaining processes compute the first row with share 0, because all
        of them must run the same operations.
        """
        ours = [int(row) for row in np.array_split(np.arange(count), self.world_size)[self.rank]]
        return ours or [0], len(ours) / count

    def all_reduce(self, value: Tensor) -> Tensor:
        """The sum of a tensor (any shape) over the processes, the same in all of them.

        Raises:
            ProcessLostError: another process is gone.
        """
        if self.world_size == 1:
            return value
        from accelerate.utils import reduce

        with _report_lost_processes():
            return reduce(value.detach(), reduction="sum")

    def broadcast(self, value: float) -> float:
        """The main process's value."""
        if self.world_size == 1:
            return value
        return float(
            self.all_reduce(torch.tensor(value if self.is_main else 0.0, dtype=torch.float64, device=self.device))
        )

    def broadcast_result(self, make: Callable[[], T]) -> T:
        """Call ``make`` in the main process only, and return its result in all processes.

        Raises:
            VoicecloneError: what ``make`` raised there.
            ProcessLostError: the main process is gone.
        """
        if self.world_size == 1:
            return make()
        found: list[Any] = [None, None]
        if self.is_main:
            try:
                found[0] = make()
            except VoicecloneError as error:
                found[1] = error
        with _report_lost_processes():
            torch.distributed.broadcast_object_list(found, src=0, device=self.device)
        if found[1] is not None:
            raise found[1]
        return found[0]

    def all_reduce_gradients(self, module: nn.Module) -> None:
        """Replace every gradient of ``module`` by its sum over the processes."""
        if self.world_size == 1:
            return
        bucket: list[Tensor] = []
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        for number, gradient in enumerate(gradients):
            bucket.append(gradient)
            if number == len(gradients) - 1 or sum(g.numel() for g in bucket) >= BUCKET:
                summed = self.all_reduce(torch.cat([g.flatten() for g in bucket]))
                for mine, part in zip(bucket, summed.split([g.numel() for g in bucket]), strict=True):
                    mine.copy_(part.view_as(mine))
                bucket = []

    def broadcast_state(self, *modules: nn.Module) -> None:
        """Give all processes the main one's parameters and buffers."""
        if self.world_size == 1:
            return
        from accelerate.utils import broadcast

        with torch.no_grad(), _report_lost_processes():
            for module in modules:
                for value in module.state_dict().values():
                    value.copy_(broadcast(value.contiguous(), from_process=0))

    def barrier(self) -> None:
        """Wait until all processes have arrived, without a time limit.

        Raises:
            ProcessLostError: one of them is gone.
        """
        if self.world_size > 1:
            with _report_lost_processes():
                torch.distributed.barrier(group=self.waiting)

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Set torch's random state within the block; the caller's is restored afterwards.

        The main process uses ``seed``, the others different seeds, so that their dropout masks differ.
        """
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            # torch's generator of the CPU takes only the lower 32 bits of a seed.
            own = seed if self.is_main else int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0])
            torch.manual_seed(own)
            yield


def process_index() -> int:
    """The number of this process among those started together, before the process group is open."""
    return max(_number(name, 0) for name in _RANKS)


def process_count() -> int:
    """How many processes a launcher has started together, before the process group is open."""
    return max(_number(name, 1) for name in _SIZES)


@contextlib.contextmanager
def open_process_group(device: str) -> Iterator[ProcessGroup]:
    """The processes started by ``accelerate launch``, or this one alone.

    Args:
        device: ``cpu`` or ``cuda``; each process gets a GPU of its own.

    Raises:
        UsageError: the launcher was asked for several processes and started one.
        ProcessLostError: the others cannot be reached.
    """
    if process_count() == 1:
        # accelerate sets the address for several processes, but with --cpu it expects mpirun to start them.
        if os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_ADDR" in os.environ:
            raise UsageError(
                "`accelerate launch --cpu` starts one process: use `accelerate launch --multi_gpu`, and --device cpu "
                "behind it"
            )
        yield ProcessGroup(device=torch.device(device))
        return
    with _report_lost_processes():
        accelerator = make_accelerator(torch.device(device), timeout=STEP_TIMEOUT)
        waiting = torch.distributed.new_group(backend="gloo", timeout=PREPARATION_TIMEOUT)
    state = {"rank": accelerator.process_index, "world_size": accelerator.num_processes, "waiting": waiting}
    yield ProcessGroup(device=accelerator.device, accelerator=accelerator, **state)
    # Not after an error: with a process lost, this could wait forever.
    torch.distributed.destroy_process_group()


@contextlib.contextmanager
def _report_lost_processes() -> Iterator[None]:
    """torch reports a lost or silent process as a RuntimeError (DistBackendError among them)."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        message = f"a process of the run stopped or does not answer ({reason}): start again with --resume"
        raise ProcessLostError(message) from error


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else default
