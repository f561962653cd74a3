"""The normalizing flow between posterior and prior: couplings whose shift a WaveNet or a transformer computes.

The types are those of the public implementation (github.com/p0p4k/vits2_pytorch), where the paper leaves the place of
the transformer open. None has dropout, without which a flow could not be inverted while training.
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
    """A map of latent frames that can be undone."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Map ``(B, channels, T)``; the padding stays 0."""

    @abstractmethod
    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Undo :meth:`forward`."""

    def log_determinant(self, mask: Tensor) -> Tensor:
        """Logarithm of the volume's growth in each row, ``(B,)``; a shift alone has none."""
        return mask.new_zeros(len(mask))


class Flip(Invertible):
    """The order of the channels turned round, so that the next coupling shifts the other half."""

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Turn the channels round."""
        return x.flip(1)

    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """The same."""
        return y.flip(1)


class Coupling(Invertible):
    """Shift one half of the channels by a function of the other half."""

    @abstractmethod
    def shift(self, half: Tensor, mask: Tensor, voice: Tensor | None) -> Tensor:
        """``(B, channels / 2, T)`` to the other half's shift, 0 in the padding."""

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Add the shift."""
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, (second + self.shift(first, mask, voice)) * mask], dim=1)

    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Take the shift away."""
        first, second = y.chunk(2, dim=1)
        return torch.cat([first, (second - self.shift(first, mask, voice)) * mask], dim=1)


class WaveNetCoupling(Coupling):
    """VITS's own: 1x1 convolution, WaveNet, 1x1 convolution."""

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
        """What the WaveNet reads, ``(B, hidden, T)``."""
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
    """``pre_conv2``: one transformer layer with relative positions, behind the first convolution."""

    def __init__(self, config: Vits2Config) -> None:
        super().__init__(config)
        width = config.hidden
        self.transformer = Transformer(width, width, heads=config.heads, layers=1, window=config.window)

    def hidden(self, half: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`WaveNetCoupling.hidden`."""
        x = self.first(half) * mask
        return x + self.transformer(x, mask)


class TransformerCoupling(Coupling):
    """``fft``: a transformer in the place of the WaveNet; the speaker is added to its input."""

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
    """``mono_layer_post_residual``: input and shifted input added up, so that all values double."""

    def forward(self, x: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """Shift, and add the input."""
        return x + super().forward(x, mask, voice)

    def inverse(self, y: Tensor, mask: Tensor, voice: Tensor | None = None) -> Tensor:
        """``(2 a, 2 b + m(a))`` to ``(a, b)``."""
        first, second = y.chunk(2, dim=1)
        first = first / 2
        return torch.cat([first, (second - self.shift(first, mask, voice)) / 2 * mask], dim=1)

    def log_determinant(self, mask: Tensor) -> Tensor:
        """Every value of a row doubles."""
        return 2 * self.last.out_channels * mask.sum((1, 2)) * math.log(2)


class Flow(Invertible):
    """Couplings of one type, one after the other, the halves exchanged between them."""

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
        """Prior frames to posterior frames."""
        for part in reversed(self.parts):
            y = part.inverse(y, mask, voice)
        return y

    def log_determinant(self, mask: Tensor) -> Tensor:
        """The sum over the parts, ``(B,)``."""
        return torch.stack([part.log_determinant(mask) for part in self.parts]).sum(0)


def _half_transformer(config: Vits2Config) -> Transformer:
    """Two layers without positions on the half of the channels, as the public implementation has them."""
    half = config.channels // 2
    return Transformer(half, half, heads=config.heads, layers=2, window=0)


def _zero(conv: nn.Conv1d) -> nn.Conv1d:
    """The same convolution with weights 0: a coupling begins as the identity."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv
