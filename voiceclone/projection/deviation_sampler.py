"""Select the sampler of prosody deviations with the lowest energy score in cross-validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.voice.expressive import (
    DIFFUSION,
    KINDS,
    MEAN,
    TEXT_DIM,
    WITH_TEXT,
    Deviations,
    sampler_config,
)

FOLDS = 5
SAMPLES = 24
"""Samples drawn for each held-out clip."""
DIFFUSION_STEPS, DIFFUSION_BATCH = 600, 64
LIMIT_SHARE = 0.95
TEXT_DROPOUT = 0.2
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -1.0, 1.2
"""Of the noise, for coefficients of about unit size."""


def choose_sampler(
    directions: Tensor, fitted: Tensor, summaries: Tensor, *, seed: int = 0
) -> tuple[Deviations, dict[str, float]]:
    """Compare samplers by their energy score, each clip held out once, and return the best one.

    Args:
        directions: basis of the deviations ``(k, 128)``.
        fitted: coefficients of each clip ``(n, k)``, of about unit size.
        summaries: text features of each clip ``(n, 3, width)``.
        seed: of the folds, the training and the sampling.

    Returns:
        The best sampler, trained on all clips; and the energy score of each kind.
    """
    centred = fitted - fitted.mean(0)
    flat = summaries.flatten(0, 1)
    mean = flat.mean(0)
    _, sizes, basis = torch.linalg.svd(flat - mean, full_matrices=False)
    kept = min(TEXT_DIM, len(basis))
    # Whitened; padded with zeros where there are fewer than TEXT_DIM principal components.
    scaled = torch.zeros(flat.shape[1], TEXT_DIM)
    scaled[:, :kept] = (basis[:kept] / (sizes[:kept, None] / len(flat) ** 0.5).clamp(min=1e-3)).T
    every = Deviations(
        kind=MEAN,
        directions=directions,
        fitted=centred,
        texts=(summaries - mean) @ scaled,
        text_mean=mean,
        text_basis=scaled,
        limit=float(centred.norm(dim=1).quantile(LIMIT_SHARE)),
    )
    order = torch.from_numpy(np.random.default_rng([seed, 43]).permutation(len(fitted)))
    scores: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    for held in order.tensor_split(min(FOLDS, len(order))):
        known = order[~torch.isin(order, held)]
        part = replace(every, fitted=centred[known], texts=every.texts[known])
        sampler = _train(part, seed)
        for kind in KINDS:
            one = replace(part, kind=kind, sampler=sampler if kind in (DIFFUSION, WITH_TEXT) else None)
            scores[kind].append(_energy_scores(one, every.texts[held], centred[held], seed))
    means = {kind: float(torch.cat(found).mean()) for kind, found in scores.items()}
    best = min(means, key=means.__getitem__)
    chosen = replace(every, kind=best)
    if best in (DIFFUSION, WITH_TEXT):
        chosen = replace(chosen, sampler=_train(every, seed))
    return chosen, {kind: round(score, 4) for kind, score in means.items()}


def _energy_scores(deviations: Deviations, texts: Tensor, true: Tensor, seed: int) -> Tensor:
    """Energy score of each clip ``(n,)`` (Gneiting and Raftery 2007); lower is better.

    It is the mean distance of samples to the truth, minus half the mean distance between samples.
    """
    generator = torch.Generator().manual_seed(seed)
    scores = []
    for text, value in zip(texts, true, strict=True):
        drawn = deviations.coefficients(text, generator, count=SAMPLES)
        apart = torch.cdist(drawn, drawn).sum() / (SAMPLES * (SAMPLES - 1))
        scores.append((drawn - value).norm(dim=1).mean() - 0.5 * apart)
    return torch.stack(scores)


def _train(deviations: Deviations, seed: int) -> StyleDiffusion:
    """Train a small diffusion model of the fitted deviations, with random dropping of the text condition."""
    fitted, texts = deviations.fitted, deviations.texts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = StyleDiffusion(sampler_config(fitted.shape[1]))
        model.observe(fitted.std(), first=True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
        mask = torch.ones(DIFFUSION_BATCH, 3, dtype=torch.bool)
        for step in range(DIFFUSION_STEPS):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * (1.0 - step / DIFFUSION_STEPS) + 1e-5
            picked = torch.randint(len(fitted), (DIFFUSION_BATCH,))
            styles = fitted[picked]
            sigma = (LOG_SIGMA_MEAN + LOG_SIGMA_STD * torch.randn(DIFFUSION_BATCH)).exp()
            noisy = styles + sigma[:, None] * torch.randn_like(styles)
            without = torch.rand(DIFFUSION_BATCH) < TEXT_DROPOUT
            cleaned = model(noisy, sigma, texts[picked], mask, without_text=without)
            loss = (model.loss_weight(sigma) * (cleaned - styles).square().mean(-1)).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model.eval().requires_grad_(False)
