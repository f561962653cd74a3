"""StyleTTS2's style sampler: ancestral ADPM2 with Karras' noise levels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from voiceclone.models.styletts2.diffusion import StyleDiffusion

SIGMA_MIN, SIGMA_MAX, RHO = 1e-4, 3.0, 9.0
LEAST_STEPS = 2

Denoise = Callable[[Tensor, Tensor], Tensor]
"""Noisy values ``(B, D)`` and the noise's standard deviation, a scalar, to denoised values ``(B, D)``."""


def karras_sigmas(steps: int, *, lowest: float = SIGMA_MIN, highest: float = SIGMA_MAX, rho: float = RHO) -> Tensor:
    """Noise levels ``(steps,)`` from ``highest`` down to ``lowest``, dense at the low end; float64.

    Raises:
        ValueError: there are fewer than two steps.
    """
    if steps < LEAST_STEPS:
        raise ValueError(f"{steps} steps: sampling needs {LEAST_STEPS} noise levels at least")
    share = torch.linspace(0.0, 1.0, steps, dtype=torch.float64)
    return (highest ** (1 / rho) + share * (lowest ** (1 / rho) - highest ** (1 / rho))) ** rho


def adpm2(denoise: Denoise, start: Tensor, sigmas: Tensor, noise: Callable[[], Tensor]) -> Tensor:
    """Midpoint steps along the noise levels, each followed by fresh noise. Differentiable.

    Args:
        denoise: the denoiser.
        start: standard normal ``(B, D)``.
        sigmas: decreasing noise levels.
        noise: draws standard normal ``(B, D)``.
    """
    x = sigmas[0].to(start.dtype) * start
    for now, then in zip(sigmas[:-1], sigmas[1:], strict=True):
        # The level `then` is split into the level of the deterministic step (down) and added noise (up).
        up = (then**2 * (now**2 - then**2) / now**2).sqrt()
        down = (then**2 - up**2).sqrt()
        middle = 0.5 * (now + down)
        now, up, down, middle = (value.to(x.dtype) for value in (now, up, down, middle))
        halfway = x + (x - denoise(x, now)) / now * (middle - now)
        x = x + (halfway - denoise(halfway, middle)) / middle * (down - now) + up * noise()
    return x


def sample_styles(
    diffusion: StyleDiffusion,
    text: Tensor,
    mask: Tensor,
    reference: Tensor | None = None,
    *,
    steps: int,
    guidance: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sample styles ``(B, 256)`` for texts ``(B, N, text_dim)``. Differentiable.

    Args:
        diffusion: the denoiser.
        text: features of the tokens.
        mask: ``(B, N)``, True at tokens.
        reference: a style of the speaker ``(B, 256)``, for a network that uses one.
        steps: number of noise levels, one more than the number of steps between them.
        guidance: scale of classifier-free guidance by the text; 1 is none.
        generator: of the noise, on the CPU; torch's own when None.
    """
    shape, device = (text.shape[0], diffusion.config.style_dim), text.device

    def noise() -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return diffusion(x, sigma.to(device).expand(len(x)), text, mask, reference, guidance=guidance)

    return adpm2(denoise, noise(), karras_sigmas(steps), noise)
