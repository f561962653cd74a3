"""Make the vocoder faster: compiled, and in bfloat16 where that is not heard."""

from __future__ import annotations

from collections.abc import Callable

import torch
from kokoro.model import KModel
from torch import Tensor


def speed_up_vocoder(model: KModel, *, compiled: bool, bfloat16: bool, lengths_vary: bool = False) -> None:
    """Compile the residual blocks of the generator, where most of the time goes, and run them in bfloat16.

    Args:
        lengths_vary: compile once for all lengths, for batches of many shapes; else once for each of a few shapes.

    The layers that make magnitude and phase stay float32: a phase of eight
    bits would be heard.
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
