"""Causal sequence mixers: selective state space models, or as alternatives a GRU or attention.

As all are causal, padding at the end of a sequence does not affect it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.models.mamba_conv.config import MambaConvConfig
from voiceclone.models.mamba_conv.scan import selective_scan

DELTA_RANGE = (1e-3, 0.1)  # range of the initial step sizes
SLOWEST = 1e-4  # minimum decay rate: with 0 the state would grow without limit
HEAD = 32  # channels of each attention head

MambaState = tuple[Tensor, Tensor]
"""The last inputs of the convolution ``(B, E, conv - 1)`` and the state of the scan ``(B, E, N)``."""


class MambaBlock(nn.Module):
    """A selective state space block. Its parameters have the names and shapes of mamba-ssm's."""

    def __init__(self, dim: int, *, state: int, expand: int, conv: int) -> None:
        super().__init__()
        inner, self.rank, self.state = expand * dim, math.ceil(dim / 16), state
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, conv, groups=inner)
        self.x_proj = nn.Linear(inner, self.rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, dim, bias=False)
        low, high = (math.log(value) for value in DELTA_RANGE)
        steps = torch.exp(low + (high - low) * torch.rand(inner))
        with torch.no_grad():
            self.dt_proj.bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # the inverse of softplus

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, dim)`` to the same shape."""
        return self.run(x)[0]

    def run(self, x: Tensor, before: MambaState | None = None) -> tuple[Tensor, MambaState]:
        """As :meth:`forward` on ``(B, L, dim)``, but from a given state; also returns the state after ``x``."""
        inner, gate = self.in_proj(x).chunk(2, dim=-1)
        width = self.conv1d.kernel_size[0] - 1
        padded = F.pad(inner.mT, (width, 0)) if before is None else torch.cat([before[0], inner.mT], dim=-1)
        u = F.silu(self.conv1d(padded)).mT
        delta, b, c = self.x_proj(u).split([self.rank, self.state, self.state], dim=-1)
        delta = F.softplus(self.dt_proj(delta).float() if delta.dtype != torch.float64 else self.dt_proj(delta))
        a = -torch.exp(self.A_log).clamp(min=SLOWEST)
        y, last = selective_scan(u, delta, a, b, c, self.D, None if before is None else before[1])
        return self.out_proj(y.to(x.dtype) * F.silu(gate)), (padded[..., padded.shape[-1] - width :], last)

    def undecayed(self) -> list[nn.Parameter]:
        """Parameters without weight decay, because it would change the decay rates of the state."""
        return [self.A_log, self.D]


class GruMixer(nn.Module):
    """A GRU of the block's width."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gru = nn.GRU(dim, dim, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, dim)`` to the same shape."""
        return self.gru(x)[0]


class AttentionMixer(nn.Module):
    """Causal attention with linear biases (ALiBi, Press et al. 2022), which generalises to longer sequences."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.heads = max(dim // HEAD, 1)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, dim)`` to the same shape."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        place = torch.arange(x.shape[1], device=x.device)
        distance = place[:, None] - place[None]
        slopes = 2.0 ** (-8.0 * torch.arange(1, self.heads + 1, device=x.device) / self.heads)
        bias = torch.where(distance >= 0, -slopes[:, None, None] * distance, -torch.inf)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.out(mixed.transpose(1, 2).flatten(2))


def make_mixer(dim: int, config: MambaConvConfig) -> nn.Module:
    """The mixer selected by a config."""
    if config.mixer == "gru":
        return GruMixer(dim)
    if config.mixer == "attention":
        return AttentionMixer(dim)
    return MambaBlock(dim, state=config.state, expand=config.expand, conv=config.conv)
