"""Kokoro's iSTFTNet generator with a width of its own for each upsampling stage.

``kokoro.istftnet.Generator`` halves the channels in every stage. A small model needs its channels in the last stage,
which produces the upper harmonics at 4,800 frames a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kokoro.istftnet import AdaINResBlock1, Generator, init_weights
from torch import nn
from torch.nn.utils import weight_norm


class NarrowGenerator(Generator):
    """``forward`` and all sizes but the widths are Kokoro's own.

    Args:
        style_dim: length of the acoustic style.
        dims: channels of each stage. Kokoro: half and a quarter of ``upsample_initial_channel``.
        istftnet: the ``"istftnet"`` part of a Kokoro config.

    Raises:
        ValueError: there are not as many widths as stages.
    """

    def __init__(
        self, style_dim: int, dims: Sequence[int], istftnet: dict[str, Any], *, disable_complex: bool = False
    ) -> None:
        super().__init__(style_dim, disable_complex=disable_complex, **istftnet)
        rates, sizes = istftnet["upsample_rates"], istftnet["upsample_kernel_sizes"]
        if len(dims) != len(rates):
            raise ValueError(f"generator_dims has {len(dims)} widths for {len(rates)} stages: it needs one for each")
        blocks = list(zip(istftnet["resblock_kernel_sizes"], istftnet["resblock_dilation_sizes"], strict=True))
        self.resblocks = nn.ModuleList(AdaINResBlock1(dim, *block, style_dim) for dim in dims for block in blocks)
        before = istftnet["upsample_initial_channel"]
        for stage, (dim, rate, size) in enumerate(zip(dims, rates, sizes, strict=True)):
            self.ups[stage] = weight_norm(nn.ConvTranspose1d(before, dim, size, rate, padding=(size - rate) // 2))
            source, residual = self.noise_convs[stage], self.noise_res[stage].convs1
            self.noise_convs[stage] = nn.Conv1d(
                source.in_channels, dim, source.kernel_size, stride=source.stride, padding=source.padding
            )
            dilations = [conv.dilation[0] for conv in residual]
            self.noise_res[stage] = AdaINResBlock1(dim, residual[0].kernel_size[0], dilations, style_dim)
            before = dim
        self.conv_post = weight_norm(nn.Conv1d(before, istftnet["gen_istft_n_fft"] + 2, 7, padding=3))
        self.ups.apply(init_weights)
        self.conv_post.apply(init_weights)
