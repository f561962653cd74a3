"""The selective scan: a linear recurrence whose decay, input and output depend on the input (Gu and Dao 2023).

It is computed step by step on slices from a single unbind. Indexing the time axis in every step would give the same
values, but its backward pass writes a full-size tensor in each step, which is quadratic in the length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor


def selective_scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``h[t] = exp(delta[t] a) h[t-1] + delta[t] b[t] u[t]``, ``y[t] = c[t] . h[t] + d u[t]``.

    Half precision is converted to float32, because products of many decays lose precision.

    Args:
        u: input ``(B, L, E)``.
        delta: positive step sizes ``(B, L, E)``.
        a: negative rates ``(E, N)``.
        b: input matrix ``(B, L, N)``.
        c: output matrix ``(B, L, N)``.
        d: skip connection ``(E,)``.
        state: before the first step, ``(B, E, N)``; zeros when None.

    Returns:
        Outputs ``(B, L, E)`` and the state after the last step ``(B, E, N)``.
    """
    u, delta, a, b, c, d = (
        x.float() if x.dtype in (torch.float16, torch.bfloat16) else x for x in (u, delta, a, b, c, d)
    )
    if state is None and u.is_cuda and (kernel := cuda_kernel()) is not None:
        return scan_by(kernel, u, delta, a, b, c, d)
    decay = torch.exp(delta.unsqueeze(-1) * a)
    drive = (delta * u).unsqueeze(-1) * b.unsqueeze(2)
    h = torch.zeros_like(drive[:, 0]) if state is None else state
    states = []
    for kept, added in zip(decay.unbind(1), drive.unbind(1), strict=True):
        h = torch.addcmul(added, kept, h)
        states.append(h)
    y = torch.einsum("blen,bln->ble", torch.stack(states, 1), c)
    return y + d * u, h


def scan_by(
    kernel: Callable[..., Any], u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor
) -> tuple[Tensor, Tensor]:
    """As :func:`selective_scan` from a state of zeros, by a function of mamba-ssm's interface, with time last."""
    inputs = (u.mT.contiguous(), delta.mT.contiguous(), a, b.mT.contiguous(), c.mT.contiguous(), d)
    y, last = kernel(*inputs, return_last_state=True)
    return y.mT, last


@cache
def cuda_kernel() -> Callable[..., Any] | None:
    """mamba-ssm's CUDA kernel where it is installed; else None."""
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except Exception:  # missing libraries of its compiled part raise various exceptions
        return None
    return selective_scan_fn
