"""The normalizing flow between posterior and prior: couplings with a WaveNet or transformer.

The types are those of the public implementation (github.com/p0p4k/vits2_pytorch), because the paper does not specify
the position of the transformer. None has dropout, which would make the flow non-invertible in training.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from voiceclone.models.vits2.attention import Transformer
from voiceclone.models.vits2.config import PLAIN, Vits2Config
from voiceclone.models.vits2.layers import WaveNet


class Invertible(nn.Module, ABC):
    """An invertible map of latent frames."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Map ``(B, channels, T)``; the padding stays 0."""

    @abstractmethod
    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Inverse of :meth:`forward`, ``(B, channels, T)``."""

    def log_determinant(self, mask: Tensor) -> Tensor:
        """Log-determinant of the Jacobian for each row, ``(B,)``; 0 for a shift."""
        return mask.new_zeros(len(mask))


class Flip(Invertible):
    """Reverse the order of the channels, so that the next coupling shifts the other half."""

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Reverse the channels of ``(B, channels, T)``."""
        return x.flip(1)

    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Reverse the channels of ``(B, channels, T)``, which undoes itself."""
        return y.flip(1)


class Coupling(Invertible):
    """Shift one half of the channels by a function of the other half."""

    @abstractmethod
    def shift(self, half: Tensor, mask: Tensor, voice: Tensor | None) -> Tensor:
        """``(B, channels / 2, T)`` to the other half's shift, 0 in the padding."""

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Add the shift to the second half of the channels of ``(B, channels, T)``."""
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, (second + self.shift(first, mask, voice)) * mask], dim=1)

    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Subtract the shift from the second half of the channels of ``(B, channels, T)``."""
        first, second = y.chunk(2, dim=1)
        return torch.cat([first, (second - self.shift(first, mask, voice)) * mask], dim=1)


class WaveNetCoupling(Coupling):
    """The coupling of VITS: 1x1 convolution, WaveNet, 1x1 convolution."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        half = config.channels // 2
        self.first = nn.Conv1d(half, config.hidden, 1)
        self.wavenet = WaveNet(config.hidden, config.flow_layers, voice_size=config.voice_size)
        self.last = _zero(nn.Conv1d(config.hidden, half, 1))

    def shift(self, half: Tensor, mask: Tensor, voice: Tensor | None) -> Tensor:
        """See :meth:`Coupling.shift`."""
        return self.last(self.wavenet(self.hidden(half, mask), mask, voice)) * mask

    def hidden(self, half: Tensor, mask: Tensor) -> Tensor:
        """Input of the WaveNet, ``(B, hidden, T)``."""
        return self.first(half) * mask


class PreConvCoupling(WaveNetCoupling):
    """``pre_conv``: a transformer on the half of the channels, before the first convolution."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__(config)
        self.transformer = _half_transformer(config)

    def hidden(self, half: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`WaveNetCoupling.hidden`."""
        return self.first(half + self.transformer(half, mask)) * mask


class PreConv2Coupling(WaveNetCoupling):
    """``pre_conv2``: one transformer layer with relative positions, after the first convolution."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__(config)
        width = config.hidden
        self.transformer = Transformer(width, width, heads=config.heads, layers=1, window=config.window)

    def hidden(self, half: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`WaveNetCoupling.hidden`."""
        x = self.first(half) * mask
        return x + self.transformer(x, mask)


class TransformerCoupling(Coupling):
    """``fft``: a transformer instead of the WaveNet; the speaker vector is added to its input."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        half, width = config.channels // 2, config.hidden
        self.first = nn.Conv1d(half, width, 1)
        self.voice = nn.Conv1d(config.voice_size, width, 1) if config.voice_size else None
        self.transformer = Transformer(
            width, config.filter, heads=config.heads, layers=config.flow_layers, window=0, causal=config.flow_causal
        )
        self.last = _zero(nn.Conv1d(width, half, 1))

    def shift(self, half: Tensor, mask: Tensor, voice: Tensor | None) -> Tensor:
        """See :meth:`Coupling.shift`."""
        x = self.first(half) * mask
        spoken = x if self.voice is None else x + self.voice(voice)
        return self.last(x + self.transformer(spoken, mask)) * mask


class MonoCoupling(Coupling):
    """The transformer coupling of the ``mono_layer`` types, on the half of the channels."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        half = config.channels // 2
        self.transformer = _half_transformer(config)
        self.last = _zero(nn.Conv1d(half, half, 1))

    def shift(self, half: Tensor, mask: Tensor, voice: Tensor | None) -> Tensor:
        """See :meth:`Coupling.shift`."""
        return self.last(half + self.transformer(half, mask)) * mask


class PostResidualCoupling(MonoCoupling):
    """``mono_layer_post_residual``: the input is added to the output, which doubles all values."""

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Shift ``(B, channels, T)``, and add the input."""
        return x + super().forward(x, mask, voice)

    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """``(2 a, 2 b + m(a))`` to ``(a, b)``."""
        first, second = y.chunk(2, dim=1)
        first = first / 2
        return torch.cat([first, (second - self.shift(first, mask, voice)) / 2 * mask], dim=1)

    def log_determinant(self, mask: Tensor) -> Tensor:
        """Log-determinant ``(B,)`` of doubling all values."""
        return 2 * self.last.out_channels * mask.sum((1, 2)) * math.log(2)


class Flow(Invertible):
    """Couplings of one type in sequence, with the halves exchanged in between."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__()
        couplings = {
            PLAIN: (WaveNetCoupling,),
            "pre_conv": (PreConvCoupling,),
            "pre_conv2": (PreConv2Coupling,),
            "fft": (TransformerCoupling,),
            "mono_layer_inter_residual": (WaveNetCoupling, MonoCoupling),
            "mono_layer_post_residual": (WaveNetCoupling, PostResidualCoupling),
        }[config.flow]
        first, *others = couplings
        self.parts = nn.ModuleList()
        for _ in range(config.flows):
            self.parts.extend([first(config), Flip(), *(other(config) for other in others)])

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Posterior frames to prior frames, ``(B, channels, T)``."""
        for part in self.parts:
            x = part(x, mask, voice)
        return x

    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Prior frames to posterior frames, ``(B, channels, T)``."""
        for part in reversed(self.parts):
            y = part.inverse(y, mask, voice)
        return y

    def log_determinant(self, mask: Tensor) -> Tensor:
        """Sum over the couplings, ``(B,)``."""
        return torch.stack([part.log_determinant(mask) for part in self.parts]).sum(0)


def _half_transformer(config: Vits2Config) -> Transformer:
    """Two layers without positions on half of the channels, as in the public implementation."""
    half = config.channels // 2
    return Transformer(half, half, heads=config.heads, layers=2, window=0)


def _zero(conv: nn.Conv1d) -> nn.Conv1d:
    """Set the weights to 0, so that a coupling is initially the identity."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv
