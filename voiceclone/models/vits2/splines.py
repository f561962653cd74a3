"""Monotonic rational-quadratic splines (Durkan et al. 2019) with identity tails.

There are no branches or assertions that depend on values, so that they can be exported: ``where`` selects the tails.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-3
"""Minimum width and height of a bin as a fraction of the interval, and minimum derivative at a knot."""


def spline(
    x: Tensor, widths: Tensor, heights: Tensor, derivatives: Tensor, *, inverse: bool = False, tail: float = 5.0
) -> tuple[Tensor, Tensor]:
    """Map values by the splines that the parameters describe.

    Args:
        x: of any shape.
        widths: ``(*x, bins)``, unnormalised.
        heights: the same.
        derivatives: ``(*x, bins - 1)`` at the inner knots, unnormalised; they are 1 at the ends.
        tail: the interval is -tail to tail.

    Returns:
        The values and the logarithms of the derivatives, of the shape of ``x``.
    """
    inside = (x >= -tail) & (x <= tail)
    held = x.clamp(-tail, tail)
    at_ends = math.log(math.exp(1 - LEAST) - 1)
    slopes = LEAST + F.softplus(F.pad(derivatives, (1, 1), value=at_ends))
    knots_x, knots_y = _knots(widths, tail), _knots(heights, tail)
    knots = knots_y if inverse else knots_x
    # The last knot does not start a bin.
    bin_at = ((held.unsqueeze(-1) >= knots[..., :-1]).sum(-1, keepdim=True) - 1).clamp(min=0)
    x0, y0 = _at(knots_x, bin_at), _at(knots_y, bin_at)
    width, height = _at(knots_x, bin_at + 1) - x0, _at(knots_y, bin_at + 1) - y0
    left, right = _at(slopes, bin_at), _at(slopes, bin_at + 1)
    slope = height / width
    bend = left + right - 2 * slope
    if inverse:
        up = held - y0
        a = height * (slope - left) + up * bend
        b = height * left - up * bend
        c = -slope * up
        root = (b * b - 4 * a * c).clamp(min=0).sqrt()
        place = 2 * c / (-b - root)
        value = place * width + x0
    else:
        place = (held - x0) / width
        value = y0 + height * (slope * place**2 + left * place * (1 - place)) / (slope + bend * place * (1 - place))
    between = place * (1 - place)
    growth = slope**2 * (right * place**2 + 2 * slope * between + left * (1 - place) ** 2)
    log_derivative = torch.log(growth) - 2 * torch.log(slope + bend * between)
    log_derivative = -log_derivative if inverse else log_derivative
    return torch.where(inside, value, x), torch.where(inside, log_derivative, torch.zeros_like(x))


def _knots(sizes: Tensor, tail: float) -> Tensor:
    """Unnormalised sizes ``(..., bins)`` to knots ``(..., bins + 1)`` from -tail to tail."""
    bins = sizes.shape[-1]
    shares = LEAST + (1 - LEAST * bins) * sizes.softmax(-1)
    inner = torch.cumsum(shares, dim=-1)[..., :-1]
    return F.pad(F.pad(inner, (1, 0)), (0, 1), value=1.0) * (2 * tail) - tail


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(-1, index).squeeze(-1)
