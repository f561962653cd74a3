"""Which device the work runs on, and the accelerator that drives it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from accelerate import Accelerator

_ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # variables that keep oneDNN from newer instructions


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


def convolution_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """What the frozen decoder's convolutions are computed in; None: float32, like everything else.

    ``auto`` takes bfloat16 on CPUs with matrix units (Intel AMX), which multiply it eight times as fast as float32.
    AVX-512's own bfloat16 instructions alone are slower than float32, and so is bfloat16 without any.
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cpu" and _has_matrix_units() else None
    return torch.bfloat16 if precision == "bfloat16" else None


def _has_matrix_units() -> bool:
    limited = any("AMX" not in os.environ.get(name, "AMX").upper() for name in _ISA_LIMITS)
    return bool(torch.cpu.get_capabilities().get("amx_bf16")) and not limited


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
