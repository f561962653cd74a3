"""Speed up the vocoder: compilation, and bfloat16 where it is inaudible."""

from __future__ import annotations

from collections.abc import Callable

import torch
from kokoro.model import KModel
from torch import Tensor


def speed_up_vocoder(model: KModel, *, compiled: bool, bfloat16: bool, lengths_vary: bool = False) -> None:
    """Compile the residual blocks of the generator, which take most of the time, and run them in bfloat16.

    The layers that compute magnitude and phase stay float32, because a phase with 8 bits of precision would be audible.

    Args:
        model: the base.
        compiled: compile the blocks.
        bfloat16: run them in bfloat16.
        lengths_vary: compile once for dynamic lengths, for batches of many shapes; else once for each of a few shapes.
    """
    from kokoro.istftnet import AdaINResBlock1

    if compiled:
        torch._dynamo.config.recompile_limit = 64
    for module in model.decoder.modules():
        if isinstance(module, AdaINResBlock1):
            if bfloat16:
                module.forward = _in_bfloat16(module.forward)
            if compiled:
                module.forward = torch.compile(module.forward, dynamic=lengths_vary)


def _in_bfloat16(forward: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def run(x: Tensor, style: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return forward(x, style).float()

    return run
