"""Which device the work runs on, and the accelerator that drives it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from accelerate import Accelerator


def choose_device(wanted: str) -> torch.device:
    """``auto`` takes CUDA where there is one, else the CPU; MPS, on which nothing was ever run, only by its name.

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


def make_accelerator(device: torch.device, *, timeout: timedelta | None = None) -> Accelerator:
    """An ``accelerate`` accelerator for one run on ``device``; earlier runs in this process leave nothing behind.

    Args:
        timeout: how long an operation waits for other processes, where the run has several.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    AcceleratorState._reset_state(reset_partial_state=True)
    handlers = [] if timeout is None else [InitProcessGroupKwargs(timeout=timeout)]
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=handlers)
