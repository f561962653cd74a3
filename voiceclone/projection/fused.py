"""Kokoro's residual blocks with less to compute and less to keep, while a voice is trained through the frozen decoder.

Plain autograd keeps five tensors for each of the decoder's units (style-driven instance norm, Snake, convolution),
most of them for the gradient of weights that are frozen. Here a unit keeps its input alone and computes the rest again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from kokoro.istftnet import AdaIN1d, AdaINResBlock1


class _Unit(torch.autograd.Function):
    """``conv(snake(n * gain + shift))``, ``n`` being ``x`` ``(B, C, T)`` without mean and scale in each row.

    ``gain`` and ``shift`` are ``(B, C, 1)``; Snake is ``u + sin(alpha u)^2 / alpha``. The gradient is that of ``x``,
    ``gain`` and ``shift``; the layer's parameters must be frozen.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, shift: Tensor, alpha: Tensor, conv: nn.Conv1d, eps: float) -> Tensor:
        kind = torch.promote_types(x.dtype, torch.float32)
        mean = x.mean(-1, keepdim=True, dtype=kind)
        z = x - mean
        square = z.square()
        scale = (square.mean(-1, keepdim=True) + eps).rsqrt()
        torch.addcmul(alpha * shift, z, alpha * gain * scale, out=z)
        torch.sin(z, out=square)
        z.addcmul_(square, square).div_(alpha)
        ctx.save_for_backward(x, mean, scale, gain, shift, alpha, conv.weight)
        ctx.layout = {"padding": conv.padding[0], "dilation": conv.dilation[0]}
        return _convolve(F.conv1d, F.conv2d, z.to(x.dtype), conv.weight, conv.bias, **ctx.layout)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, gain, shift, alpha, weight = ctx.saved_tensors
        # Of a convolution with stride 1 the transposed one is the gradient in the input.
        grad = _convolve(F.conv_transpose1d, F.conv_transpose2d, grad, weight.to(grad.dtype), None, **ctx.layout)
        grad = grad.to(mean.dtype)
        n = (x - mean).mul_(scale)
        slope = torch.addcmul(2 * alpha * shift, n, 2 * alpha * gain).sin_()
        grad.addcmul_(grad, slope)  # Snake's derivative is 1 + sin(2 alpha u)
        of_shift = grad.sum(-1, keepdim=True)
        of_gain = torch.mul(grad, n, out=slope).sum(-1, keepdim=True)
        if not ctx.needs_input_grad[0]:
            return None, of_gain, of_shift, None, None, None
        of_x = grad.addcmul_(n, of_gain / -n.shape[-1]).sub_(of_shift / n.shape[-1]).mul_(gain * scale)
        return of_x.to(x.dtype), of_gain, of_shift, None, None, None


@contextmanager
def fused(decoder: nn.Module) -> Iterator[None]:
    """Within, the frozen residual blocks of this decoder record their gradient the lean way.

    Without a gradient to record they compute as ever, to the bit. Blocks that are not frozen, or whose weight norm is
    not folded, are left as they are.
    """
    from kokoro.istftnet import AdaINResBlock1

    blocks = [block for block in decoder.modules() if isinstance(block, AdaINResBlock1) and _can_be_fused(block)]
    for block in blocks:
        block.forward = partial(_forward, block)
    try:
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)


def _can_be_fused(block: AdaINResBlock1) -> bool:
    folded = all("weight" in conv._parameters for conv in [*block.convs1, *block.convs2])
    frozen = not any(parameter.requires_grad for parameter in block.parameters())
    return folded and frozen and "forward" not in vars(block)  # whoever set it first takes it back


def _forward(block: AdaINResBlock1, x: Tensor, s: Tensor) -> Tensor:
    """``AdaINResBlock1.forward``: ``x`` ``(B, C, T)`` and style ``(B, D)`` to ``(B, C, T)``."""
    if not torch.is_grad_enabled() or not (x.requires_grad or s.requires_grad):
        return type(block).forward(block, x, s)
    x = _laid_out(x)
    firsts, seconds = zip(block.adain1, block.alpha1, block.convs1), zip(block.adain2, block.alpha2, block.convs2)
    for first, second in zip(firsts, seconds):
        x = x + _unit(_unit(x, s, *first), s, *second)
    return x


def _unit(x: Tensor, s: Tensor, adain: AdaIN1d, alpha: Tensor, conv: nn.Conv1d) -> Tensor:
    gamma, beta = adain.fc(s).unsqueeze(-1).chunk(2, dim=1)
    gain, shift = (1 + gamma) * adain.norm.weight[:, None], (1 + gamma) * adain.norm.bias[:, None] + beta
    return _Unit.apply(x, gain, shift, alpha, conv, adain.norm.eps)


def _laid_out(x: Tensor) -> Tensor:
    """``(B, C, T)`` with the channels next to each other in memory on a CPU, whose convolutions then run faster."""
    return x.transpose(1, 2).contiguous().transpose(1, 2) if x.device.type == "cpu" else x


def _convolve(
    one: Any, two: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int
) -> Tensor:
    """A convolution over time; on a CPU as one over an image of height 1, which alone may have channels innermost."""
    if x.device.type != "cpu":
        return one(x, weight, bias, padding=padding, dilation=dilation)
    image = _laid_out(x).unsqueeze(2)
    return two(image, weight.unsqueeze(2), bias, padding=(0, padding), dilation=(1, dilation)).squeeze(2)
