"""Style diffusion: the denoiser with EDM's preconditioning (Karras et al. 2022) and classifier-free guidance.

All that a sampler needs is part of the module's state: the weights, the standard deviation of the training styles, and
their distribution, to which samples are limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.models.styletts2.denoiser import DenoiserConfig, StyleDenoiser

SIGMA_MOMENTUM = 0.05
"""Weight of a batch in the running standard deviation of the styles."""
NO_LIMIT = 1e6
"""Limit before the distribution of the training styles is known; finite, as weight files must not contain infinity."""
KEPT_SHARE = 0.99
"""Fraction of the training styles within the limit for samples."""


class StyleDiffusion(nn.Module):
    """A denoiser of styles with preconditioning."""

    sigma_data: Tensor
    style_mean: Tensor
    style_scale: Tensor
    style_limit: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.denoiser = StyleDenoiser(config)
        self.no_text = nn.Embedding(config.max_tokens, config.text_dim)
        self.register_buffer("sigma_data", torch.tensor(0.2))
        self.register_buffer("style_mean", torch.zeros(config.style_dim))
        self.register_buffer("style_scale", torch.ones(config.style_dim))
        self.register_buffer("style_limit", torch.tensor(NO_LIMIT))

    @torch.no_grad()
    def observe(self, spread: Tensor, *, first: bool) -> None:
        """Update the running standard deviation with that of a batch, a scalar."""
        spread = spread.clamp(min=1e-3)
        self.sigma_data.copy_(spread if first else self.sigma_data.lerp(spread, SIGMA_MOMENTUM))

    @torch.no_grad()
    def calibrate(self, styles: Tensor) -> None:
        """Store mean, standard deviations and limit of the training's styles ``(K, 256)``."""
        self.style_mean.copy_(styles.mean(0))
        self.style_scale.copy_(styles.std(0, correction=0).clamp(min=1e-3))
        self.style_limit.copy_(self._distance(styles).quantile(KEPT_SHARE))

    def held(self, styles: Tensor) -> Tensor:
        """Styles ``(B, 256)``; those beyond the limit are moved towards the mean."""
        factor = (self.style_limit / self._distance(styles).clamp(min=1e-9)).clamp(max=1.0)
        return self.style_mean + factor[:, None] * (styles - self.style_mean)

    def forward(
        self,
        noisy: Tensor,
        sigma: Tensor,
        text: Tensor,
        mask: Tensor,
        reference: Tensor | None = None,
        *,
        without_text: Tensor | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """The denoised styles ``(B, 256)`` of noisy ones ``(B, 256)``.

        Args:
            noisy: noisy styles.
            sigma: standard deviation of the noise ``(B,)``.
            text: features of the tokens ``(B, N, text_dim)``.
            mask: ``(B, N)``, True at tokens.
            reference: a style of the speaker ``(B, 256)``, for a network that uses one.
            without_text: bool ``(B,)``, rows whose text is replaced by a learned null embedding.
            guidance: scale of classifier-free guidance by the text; 1 is none.
        """
        nothing = self.no_text(torch.arange(text.shape[1], device=text.device)).expand_as(text)
        if without_text is not None:
            text = torch.where(without_text[:, None, None], nothing, text)
        told = self._denoised(noisy, sigma, text, mask, reference)
        if guidance == 1.0:
            return told
        untold = self._denoised(noisy, sigma, nothing, mask, reference)
        return untold + guidance * (told - untold)

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """EDM's weight of the squared error at each noise level ``(B,)``."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2

    def _denoised(self, noisy: Tensor, sigma: Tensor, text: Tensor, mask: Tensor, reference: Tensor | None) -> Tensor:
        total = sigma[:, None] ** 2 + self.sigma_data**2
        answer = self.denoiser(noisy * total.rsqrt(), 0.25 * sigma.log(), text, mask, reference)
        return self.sigma_data**2 / total * noisy + sigma[:, None] * self.sigma_data * total.rsqrt() * answer

    def _distance(self, styles: Tensor) -> Tensor:
        """RMS over the values of the deviation from the training's mean, in standard deviations, ``(B,)``."""
        return ((styles - self.style_mean) / self.style_scale).square().mean(-1).sqrt()


def denoiser_config(model_config: Mapping[str, Any], *, reference: bool) -> DenoiserConfig:
    """Sizes for a base of this config: StyleTTS2's for Kokoro's own size, smaller ones for a narrow base."""
    hidden = model_config["plbert"]["hidden_size"]
    if "nano" not in model_config:
        return DenoiserConfig(text_dim=hidden, reference=reference)
    heads = max(1, min(4, hidden // 32))
    blocks = 2 if hidden >= 64 else 1
    return DenoiserConfig(text_dim=hidden, reference=reference, blocks=blocks, heads=heads, head_dim=32)
