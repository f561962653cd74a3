"""What the sampler of styles learns from: noisy styles to be cleaned, and samples to be near the truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.models.styletts2.sampler import sample_styles

LOG_SIGMA_MEAN, LOG_SIGMA_STD = -3.0, 1.0
SAMPLE_STEPS = (3, 4)
"""Steps of a sample in training; more would make the gradient long, fewer would be another distribution."""


@dataclass(frozen=True, kw_only=True)
class StyleMaterial:
    """Styles and what they are sampled from, none with a gradient."""

    styles: Tensor = field(repr=False)  # (B, 256)
    text: Tensor = field(repr=False)  # (B, N, text_dim)
    mask: Tensor = field(repr=False)  # (B, N), True at tokens
    reference: Tensor | None = field(repr=False)  # (B, 256): another style of the speaker


def denoising_loss(diffusion: StyleDiffusion, material: StyleMaterial, *, text_dropout: float) -> tuple[Tensor, int]:
    """EDM's weighted squared error at log-normal noise, and how many rows had no text."""
    styles = material.styles
    sigma = (LOG_SIGMA_MEAN + LOG_SIGMA_STD * torch.randn(len(styles), device=styles.device)).exp()
    without = torch.rand(len(styles), device=styles.device) < text_dropout
    noisy = styles + sigma[:, None] * torch.randn_like(styles)
    cleaned = diffusion(noisy, sigma, material.text, material.mask, material.reference, without_text=without)
    error = (cleaned - styles).square().mean(-1)
    return (diffusion.loss_weight(sigma) * error).mean(), int(without.sum())


def sample_loss(diffusion: StyleDiffusion, material: StyleMaterial) -> Tensor:
    """L1 between a sample of few steps, with the gradient through all of them, and the true style."""
    steps = SAMPLE_STEPS[int(torch.randint(len(SAMPLE_STEPS), ()))]
    sampled = sample_styles(diffusion, material.text, material.mask, material.reference, steps=steps)
    return F.l1_loss(sampled, material.styles)
