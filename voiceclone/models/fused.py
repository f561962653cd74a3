"""Kokoro's residual blocks with less computation and memory, for training a voice through the frozen decoder.

Plain autograd keeps five tensors for each of the decoder's units (style-driven instance norm, Snake, convolution),
most of them for the gradient of weights that are frozen. Here a unit stores only its input and computes the rest again.
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
    def forward(
        ctx: Any,
        x: Tensor,
        gain: Tensor,
        shift: Tensor,
        alpha: Tensor,
        conv: nn.Conv1d,
        eps: float,
        dtype: torch.dtype | None,
    ) -> Tensor:
        kind = torch.promote_types(x.dtype, torch.float32)
        mean = x.mean(-1, keepdim=True, dtype=kind)
        z = x - mean
        square = z.square()
        scale = (square.mean(-1, keepdim=True) + eps).rsqrt()
        torch.addcmul(alpha * shift, z, alpha * gain * scale, out=z)
        torch.sin(z, out=square)
        z.addcmul_(square, square).div_(alpha)
        ctx.save_for_backward(x, mean, scale, gain, shift, alpha, conv.weight)
        ctx.layout, ctx.dtype = {"padding": conv.padding[0], "dilation": conv.dilation[0]}, dtype
        return _convolve(F.conv1d, F.conv2d, z.to(x.dtype), conv.weight, conv.bias, dtype=dtype, **ctx.layout)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, gain, shift, alpha, weight = ctx.saved_tensors
        # The input gradient of a convolution with stride 1 is the transposed convolution.
        grad = _convolve(
            F.conv_transpose1d, F.conv_transpose2d, grad, weight.to(grad.dtype), None, dtype=ctx.dtype, **ctx.layout
        )
        grad = grad.to(mean.dtype)
        n = (x - mean).mul_(scale)
        slope = torch.addcmul(2 * alpha * shift, n, 2 * alpha * gain).sin_()
        grad.addcmul_(grad, slope)  # Snake's derivative is 1 + sin(2 alpha u)
        of_shift = grad.sum(-1, keepdim=True)
        of_gain = torch.mul(grad, n, out=slope).sum(-1, keepdim=True)
        if not ctx.needs_input_grad[0]:
            return None, of_gain, of_shift, None, None, None, None
        of_x = grad.addcmul_(n, of_gain / -n.shape[-1]).sub_(of_shift / n.shape[-1]).mul_(gain * scale)
        return of_x.to(x.dtype), of_gain, of_shift, None, None, None, None


class _Convolution(torch.autograd.Function):
    """A frozen convolution of stride 1 computed in ``dtype``; with a gradient for the input only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: nn.Conv1d, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(conv.weight)
        ctx.layout, ctx.dtype = {"padding": conv.padding[0], "dilation": conv.dilation[0]}, dtype
        return _convolve(F.conv1d, F.conv2d, x, conv.weight, conv.bias, dtype=dtype, **ctx.layout)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        of_x = _convolve(F.conv_transpose1d, F.conv_transpose2d, grad, weight, None, dtype=ctx.dtype, **ctx.layout)
        return of_x, None, None


@contextmanager
def fused(decoder: nn.Module, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Within the block, the frozen residual blocks of this decoder use :class:`_Unit` for their gradients.

    Without gradients the results are unchanged, bit for bit. Blocks that are not frozen, or whose weight norm is not
    folded, are not changed.

    Args:
        dtype: of the convolutions in these blocks and in the wide ones before the generator, with or without
            gradients; None for the input's, which everything else uses.
    """
    from kokoro.istftnet import AdainResBlk1d, AdaINResBlock1

    patched: list[nn.Module] = []

    def patch(module: nn.Module, forward: Any) -> None:
        if "forward" not in vars(module):  # the outermost block restores it
            module.forward = partial(forward, module, dtype)
            patched.append(module)

    for block in decoder.modules():
        if isinstance(block, AdaINResBlock1) and _can_be_fused(block):
            patch(block, _forward)
        elif isinstance(block, AdainResBlk1d) and dtype is not None:
            for conv in (block.conv1, block.conv2):
                if "weight" in conv._parameters and not conv.weight.requires_grad:
                    patch(conv, _converted)
    try:
        yield
    finally:
        for module in patched:
            module.__dict__.pop("forward", None)


def _can_be_fused(block: AdaINResBlock1) -> bool:
    folded = all("weight" in conv._parameters for conv in [*block.convs1, *block.convs2])
    return folded and not any(parameter.requires_grad for parameter in block.parameters())


def _converted(conv: nn.Conv1d, dtype: torch.dtype, x: Tensor) -> Tensor:
    return _Convolution.apply(x, conv, dtype)


def _forward(block: AdaINResBlock1, dtype: torch.dtype | None, x: Tensor, s: Tensor) -> Tensor:
    """``AdaINResBlock1.forward``: ``x`` ``(B, C, T)`` and style ``(B, D)`` to ``(B, C, T)``."""
    if dtype is None and (not torch.is_grad_enabled() or not (x.requires_grad or s.requires_grad)):
        return type(block).forward(block, x, s)
    x = _laid_out(x)
    firsts, seconds = zip(block.adain1, block.alpha1, block.convs1), zip(block.adain2, block.alpha2, block.convs2)
    for first, second in zip(firsts, seconds):
        x = x + _unit(_unit(x, s, *first, dtype), s, *second, dtype)
    return x


def _unit(x: Tensor, s: Tensor, adain: AdaIN1d, alpha: Tensor, conv: nn.Conv1d, dtype: torch.dtype | None) -> Tensor:
    gamma, beta = adain.fc(s).unsqueeze(-1).chunk(2, dim=1)
    gain, shift = (1 + gamma) * adain.norm.weight[:, None], (1 + gamma) * adain.norm.bias[:, None] + beta
    return _Unit.apply(x, gain, shift, alpha, conv, adain.norm.eps, dtype)


def _laid_out(x: Tensor) -> Tensor:
    """``(B, C, T)`` in channels-last memory format on a CPU, where convolutions are then faster."""
    return x.transpose(1, 2).contiguous().transpose(1, 2) if x.device.type == "cpu" else x


def _convolve(
    one: Any,
    two: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: int,
    dilation: int,
    dtype: torch.dtype | None,
) -> Tensor:
    """A convolution over time, computed in ``dtype`` and returned in that of ``x``.

    On a CPU it is done on an image of height 1, because only images can be channels-last.
    """
    given = x.dtype
    if dtype is not None:
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    if x.device.type != "cpu":
        return one(x, weight, bias, padding=padding, dilation=dilation).to(given)
    image = _laid_out(x).unsqueeze(2)
    result = two(image, weight.unsqueeze(2), bias, padding=(0, padding), dilation=(1, dilation))
    return result.squeeze(2).to(given)
