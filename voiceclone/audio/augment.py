"""Augmentation of log-mels: noise, equalization, band limits, reverberation, blur, masks, speed and pitch.

All functions map log-mels ``(B, 80, F)`` to log-mels, natural log of power relative to the clip's mean, and draw from
the given generator.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from voiceclone.audio.features import N_MELS

_DB = math.log(10) / 10  # natural log of power in a decibel
FRAME_RATE = 80  # frames per second
REVERB_FRAMES = 40  # length of the reverberation tail, half a second
FLOOR = 1e-5  # of the mean power: 50 dB below it
_FLOOR = math.log(FLOOR)


def add_noise(features: Tensor, generator: Generator, *, share: float, snr_db: tuple[float, float]) -> Tensor:
    """Add steady noise of a random smooth spectrum to a ``share`` of the batch ``(B, 80, F)``."""
    count, _, frames = features.shape
    snr = _uniform(count, snr_db, generator)[:, None, None]
    shape = smooth_curves(count, generator, spread_db=8.0)
    noise = -snr * _DB + shape + 0.4 * torch.randn(count, N_MELS, frames, generator=generator)
    return _some(features, torch.logaddexp(features, noise), share, generator)


def equalize(features: Tensor, generator: Generator, *, spread_db: float) -> Tensor:
    """Multiply the spectra ``(B, 80, F)`` by smooth random curves of ``spread_db`` standard deviation."""
    return features + smooth_curves(len(features), generator, spread_db=spread_db)


def limit_band(features: Tensor, generator: Generator, *, share: float) -> Tensor:
    """Remove the bands above a bin of the upper third, or below one of the lowest, each in a ``share`` of the batch.

    The batch is ``(B, 80, F)``.
    """
    bins = torch.arange(N_MELS)[None, :, None]
    top = torch.randint(54, N_MELS, (len(features), 1, 1), generator=generator)
    bottom = torch.randint(1, 7, (len(features), 1, 1), generator=generator)
    quiet = features.clamp_max(_FLOOR) + 0.2 * torch.rand(features.shape, generator=generator)
    features = _some(features, torch.where(bins >= top, quiet, features), share, generator)
    return _some(features, torch.where(bins < bottom, quiet, features), share, generator)


def reverberate(features: Tensor, generator: Generator, *, share: float) -> Tensor:
    """Add a decaying tail (0.15 to 0.6 s to -60 dB, 6 to 20 dB below the signal) to a ``share`` of the batch."""
    count, _, frames = features.shape
    seconds = _uniform(count, (0.15, 0.6), generator)[:, None]
    below = _uniform(count, (6.0, 20.0), generator)[:, None] * _DB
    time = torch.arange(REVERB_FRAMES)[None] / FRAME_RATE
    tail = torch.exp(-6 * math.log(10) * time / seconds)
    tail[:, 0] = 0.0
    tail = tail / tail.sum(dim=1, keepdim=True) * torch.exp(-below)
    tail[:, 0] = 1.0
    power = torch.nn.functional.pad(features.exp().transpose(0, 1), (REVERB_FRAMES - 1, 0))  # (80, B, T)
    wet = torch.nn.functional.conv1d(power, tail.flip(1)[:, None], groups=count).transpose(0, 1)
    return _some(features, torch.log(wet[..., :frames].clamp_min(1e-12)), share, generator)


def blur(features: Tensor, generator: Generator, *, share: float) -> Tensor:
    """Average over 3 bins and 3 frames in a ``share`` of the batch ``(B, 80, F)``, as vocoders blur the spectrum."""
    smeared = torch.nn.functional.avg_pool2d(features.unsqueeze(1), 3, stride=1, padding=1, count_include_pad=False)
    return _some(features, smeared.squeeze(1), share, generator)


def mask(features: Tensor, generator: Generator, *, bands: int, bins: int, stretches: int, frames: int) -> Tensor:
    """SpecAugment (Park et al. 2019): set bands of up to ``bins`` and segments of up to ``frames`` to the mean."""
    count, _, length = features.shape
    keep = torch.ones(count, N_MELS, length, dtype=torch.bool)
    for axis, number, widest, size in ((1, bands, bins, N_MELS), (2, stretches, frames, length)):
        places = torch.arange(size)[None]
        for _ in range(number):
            width = torch.randint(0, widest + 1, (count, 1), generator=generator)
            first = (torch.rand(count, 1, generator=generator) * (size - width)).long()
            hidden = (places >= first) & (places < first + width)
            keep &= ~hidden.unsqueeze(2 if axis == 1 else 1)
    return torch.where(keep, features, features.mean(dim=(1, 2), keepdim=True))


def random_warp(
    features: Tensor, generator: Generator, *, speed: tuple[float, float], pitch: tuple[float, float]
) -> Tensor:
    """Resample the batch ``(B, 80, F)`` in time and stretch its mel axis, each by a random factor within the range."""
    count, _, frames = features.shape
    stretch, shift = (float(_uniform(1, limits, generator)) for limits in (speed, pitch))
    length = max(round(frames / stretch), 1)
    x = torch.linspace(-1, 1, length)
    y = ((torch.linspace(0, 1, N_MELS) * shift).clamp_max(1.0)) * 2 - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).expand(count, -1, -1, -1)
    return torch.nn.functional.grid_sample(
        features.unsqueeze(1), grid, mode="bilinear", padding_mode="border", align_corners=True
    ).squeeze(1)  # fmt: skip


def smooth_curves(count: int, generator: Generator, *, spread_db: float) -> Tensor:
    """Smooth random curves over the mel bins ``(count, 80, 1)``, natural log."""
    knots = spread_db * _DB * torch.randn(count, 1, 6, generator=generator)
    return torch.nn.functional.interpolate(knots, size=N_MELS, mode="linear", align_corners=True).transpose(1, 2)


def _uniform(count: int, limits: tuple[float, float], generator: Generator) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * torch.rand(count, generator=generator)


def _some(plain: Tensor, changed: Tensor, share: float, generator: Generator) -> Tensor:
    chosen = torch.rand(len(plain), 1, 1, generator=generator) < share
    return torch.where(chosen, changed, plain)
