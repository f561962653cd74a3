"""Speed up the vocoder (compilation, and bfloat16 where it is inaudible), or train it with less memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from kokoro.model import KModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


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
                run_in_bfloat16(module)
            if compiled:
                module.forward = torch.compile(module.forward, dynamic=lengths_vary)


def run_in_bfloat16(module: nn.Module) -> None:
    """Run the convolutions and matrix products of ``module`` in bfloat16. Its weights and its output stay float32."""
    forward = module.forward

    def run(x: Tensor, *args: Any) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return forward(x, *args).float()

    module.forward = run


def save_vocoder_memory(model: KModel) -> None:
    """Compute the vocoder's residual blocks again in the backward pass instead of keeping their activations.

    The gradients are the same. To be called after :func:`speed_up_vocoder`.
    """
    from kokoro.istftnet import AdaINResBlock1

    for module in model.decoder.modules():
        if isinstance(module, AdaINResBlock1):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)
