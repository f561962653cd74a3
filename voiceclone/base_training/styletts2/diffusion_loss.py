"""Losses of the style sampler: denoising, and distance of samples to the true style."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.models.styletts2.sampler import sample_styles

LOG_SIGMA_MEAN, LOG_SIGMA_STD = -3.0, 1.0
SAMPLE_STEPS = (3, 4)
"""Number of sampling steps in training. More would make back-propagation long; fewer change the distribution."""


@dataclass(frozen=True, kw_only=True)
class StyleMaterial:
    """Styles and their conditions, all without gradient."""

    styles: Tensor = field(repr=False)  # (B, 256)
    text: Tensor = field(repr=False)  # (B, N, text_dim)
    mask: Tensor = field(repr=False)  # (B, N), True at tokens
    reference: Tensor | None = field(repr=False)  # (B, 256): another style of the speaker


def denoising_loss(diffusion: StyleDiffusion, material: StyleMaterial, *, text_dropout: float) -> tuple[Tensor, int]:
    """EDM's weighted squared error at log-normal noise levels, and the number of rows without text."""
    styles = material.styles
    sigma = (LOG_SIGMA_MEAN + LOG_SIGMA_STD * torch.randn(len(styles), device=styles.device)).exp()
    without = torch.rand(len(styles), device=styles.device) < text_dropout
    noisy = styles + sigma[:, None] * torch.randn_like(styles)
    cleaned = diffusion(noisy, sigma, material.text, material.mask, material.reference, without_text=without)
    error = (cleaned - styles).square().mean(-1)
    return (diffusion.loss_weight(sigma) * error).mean(), int(without.sum())


def sample_loss(diffusion: StyleDiffusion, material: StyleMaterial) -> Tensor:
    """L1 between samples of few steps, differentiated through all of them, and the true styles ``(B, 256)``."""
    steps = SAMPLE_STEPS[int(torch.randint(len(SAMPLE_STEPS), ()))]
    sampled = sample_styles(diffusion, material.text, material.mask, material.reference, steps=steps)
    return F.l1_loss(sampled, material.styles)
