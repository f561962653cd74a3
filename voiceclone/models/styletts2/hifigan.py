"""HiFi-GAN's generator with a harmonic source, StyleTTS2's other vocoder, which predicts a waveform, not a spectrum.

The design is that of ``Modules/hifigan.py`` in yl4579/StyleTTS2, with the residual blocks and the source of Kokoro's
package. It needs about twice the computation of iSTFTNet at the same widths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from kokoro.istftnet import AdaINResBlock1, SourceModuleHnNSF, init_weights
from torch import Tensor, nn
from torch.nn.utils import weight_norm

from voiceclone.audio.features import HOP

"""Samples per F0 frame: the product of the upsampling rates."""
SOURCE_KERNELS = (7, 11)
"""Kernel size of the source's residual block at all levels but the last, and at the last."""


class HifiGenerator(nn.Module):
    """Features at 80 Hz, a style and F0 to a waveform at 24 kHz, with the interface of iSTFTNet's generator.

    Args:
        style_dim: size of the acoustic style.
        upsample_initial_channel: channels of the features; each level halves them.

    Raises:
        ValueError: the product of the rates is not 300, or the number of kernels differs.
    """

    def __init__(
        self,
        style_dim: int,
        *,
        resblock_kernel_sizes: Sequence[int],
        upsample_rates: Sequence[int],
        upsample_initial_channel: int,
        resblock_dilation_sizes: Sequence[Sequence[int]],
        upsample_kernel_sizes: Sequence[int],
    ) -> None:
        super().__init__()
        if math.prod(upsample_rates) != HOP or len(upsample_rates) != len(upsample_kernel_sizes):
            raise ValueError(
                f"upsample_rates {list(upsample_rates)} must multiply to {HOP}, with a kernel size for each"
            )
        self.m_source = SourceModuleHnNSF(sampling_rate=24_000, upsample_scale=HOP, harmonic_num=8, voiced_threshod=10)
        self.f0_upsamp = nn.Upsample(scale_factor=HOP)
        self.num_kernels = len(resblock_kernel_sizes)
        self.ups, self.noise_convs = nn.ModuleList(), nn.ModuleList()
        self.noise_res, self.resblocks = nn.ModuleList(), nn.ModuleList()
        self.alphas = nn.ParameterList([nn.Parameter(torch.ones(1, upsample_initial_channel, 1))])
        channels = upsample_initial_channel
        for level, (rate, kernel) in enumerate(zip(upsample_rates, upsample_kernel_sizes, strict=True)):
            up = nn.ConvTranspose1d(
                channels,
                channels // 2,
                kernel,
                rate,
                padding=(kernel - rate + 1) // 2,
                output_padding=(kernel - rate) % 2,
            )
            self.ups.append(weight_norm(up))
            channels //= 2
            stride = math.prod(upsample_rates[level + 1 :])
            last = level == len(upsample_rates) - 1
            convolution = (1, 1, 0) if last else (2 * stride, stride, (stride + 1) // 2)
            self.noise_convs.append(nn.Conv1d(1, channels, *convolution))
            self.noise_res.append(AdaINResBlock1(channels, SOURCE_KERNELS[last], [1, 3, 5], style_dim))
            self.alphas.append(nn.Parameter(torch.ones(1, channels, 1)))
            for size, dilation in zip(resblock_kernel_sizes, resblock_dilation_sizes, strict=True):
                self.resblocks.append(AdaINResBlock1(channels, size, dilation, style_dim))
        self.conv_post = weight_norm(nn.Conv1d(channels, 1, 7, padding=3))
        self.ups.apply(init_weights)
        self.conv_post.apply(init_weights)

    def forward(self, x: Tensor, style: Tensor, f0: Tensor) -> Tensor:
        """Features ``(B, C, 2 F)``, style ``(B, 128)`` and F0 in Hz ``(B, 2 F)`` to audio ``(B, 1, 600 F)``."""
        # The sines have no gradient; unlike that of Kokoro's decoder, the layer that sums the harmonics is trained.
        source, _, _ = self.m_source(self.f0_upsamp(f0[:, None]).transpose(1, 2))
        source = source.transpose(1, 2)
        for level, up in enumerate(self.ups):
            x = up(_snake(x, self.alphas[level]))
            x = x + self.noise_res[level](self.noise_convs[level](source), style)
            blocks = self.resblocks[level * self.num_kernels : (level + 1) * self.num_kernels]
            x = sum(block(x, style) for block in blocks) / self.num_kernels
        return torch.tanh(self.conv_post(_snake(x, self.alphas[-1])))


def _snake(x: Tensor, alpha: Tensor) -> Tensor:
    return x + (1.0 / alpha) * torch.sin(alpha * x) ** 2
