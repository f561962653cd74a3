"""StyleTTS2's style encoder: a 2-D convolutional network from a log-mel to a style vector.

The network of Li et al. 2023 (StyleTTS2), derived from StarGAN v2 (Choi et al. 2020). Names, shapes and order of the
parameters are those of the published checkpoints. Every convolution uses torch's older implementation of spectral norm,
whose ``weight_orig``, ``weight_u`` and ``weight_v`` are in those checkpoints.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

BLOCKS = 4  # each halves the image: 80 bands to 5, the height of the last convolution's kernel
SLOPE = 0.2  # negative slope of the leaky ReLU


class StyleEncoder(nn.Module):
    """Four residual blocks, a convolution over all bands, the mean over time, a linear layer.

    Args:
        dim_in: channels of the first convolution.
        style_dim: values of a style vector.
        max_conv_dim: each block doubles the channels, up to this many.
    """

    def __init__(self, *, dim_in: int, style_dim: int, max_conv_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(1, dim_in, kernel_size=3, padding=1))]
        channels = dim_in
        for _ in range(BLOCKS):
            wider = min(2 * channels, max_conv_dim)
            layers.append(HalvingBlock(channels, wider))
            channels = wider
        layers.append(nn.LeakyReLU(SLOPE))
        layers.append(spectral_norm(nn.Conv2d(channels, channels, kernel_size=5)))
        layers.append(nn.AdaptiveAvgPool2d(1))
        layers.append(nn.LeakyReLU(SLOPE))
        self.shared = nn.Sequential(*layers)
        self.unshared = nn.Linear(channels, style_dim)

    def forward(self, image: Tensor) -> Tensor:
        """Log-mel ``(B, 1, 80, T)``, T >= 65, to style vectors ``(B, style_dim)``."""
        return self.unshared(self.shared(image).flatten(start_dim=1))


class HalvingBlock(nn.Module):
    """A residual block that halves height and width of its input.

    The submodules are created in the order of the published checkpoints, which also fixes the random numbers that each
    gets from a seed.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.actv = nn.LeakyReLU(SLOPE)
        self.downsample = Halve()
        self.downsample_res = LearnedHalve(channels_in)
        self.conv1 = spectral_norm(nn.Conv2d(channels_in, channels_in, kernel_size=3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1))
        self.learned_sc = channels_in != channels_out
        if self.learned_sc:
            self.conv1x1 = spectral_norm(nn.Conv2d(channels_in, channels_out, kernel_size=1, bias=False))

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)``, H even, to ``(B, C', H / 2, ceil(W / 2))``; the sum is scaled to the variance of one part.

        The shortcut comes first: in the fast copy of :func:`~voiceclone.style.encoders.for_inference` the activation
        overwrites the image.
        """
        shortcut = self.shortcut(image)
        return (shortcut + self.residual(image)) / math.sqrt(2)

    def shortcut(self, image: Tensor) -> Tensor:
        """The input ``(B, C, H, W)``, halved, with the block's number of output channels."""
        return self.downsample(self.conv1x1(image) if self.learned_sc else image)

    def residual(self, image: Tensor) -> Tensor:
        """The residual branch, of the shape of :meth:`shortcut`."""
        inner = self.downsample_res(self.conv1(self.actv(image)))
        return self.conv2(self.actv(inner))


class Halve(nn.Module):
    """Average pooling over 2 x 2 values; an odd last frame is repeated."""

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, H / 2, ceil(W / 2))``."""
        if image.shape[-1] % 2:
            image = torch.cat([image, image[..., -1:]], dim=-1)
        return nn.functional.avg_pool2d(image, 2)


class LearnedHalve(nn.Module):
    """A strided depthwise convolution as learned downsampling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1, groups=channels))

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, ceil(H / 2), ceil(W / 2))``."""
        return self.conv(image)
