"""Training of the style sampler, beside the generator and without gradients into it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from voiceclone.base_training.batch import Share
from voiceclone.base_training.batches import STYLE_STEP, BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.objective import Trainee
from voiceclone.base_training.side_part import SidePart
from voiceclone.base_training.styletts2.diffusion_loss import StyleMaterial, denoising_loss, sample_loss
from voiceclone.distributed import ProcessGroup
from voiceclone.models.batched_forward import padding_mask
from voiceclone.models.styletts2.diffusion import StyleDiffusion, denoiser_config

LEAST_FRAMES = 48
"""Minimum length for the style encoders in frames of 25 ms; a shorter utterance is repeated."""


class DiffusionTraining:
    """Trains a style sampler on the averaged encoders' styles and the averaged PL-BERT's features.

    The averaged modules are those of the exported base. They get no gradient.
    """

    def __init__(
        self, batches: BatchMaker, averaged: Trainee, config: TrainConfig, process_group: ProcessGroup
    ) -> None:
        self.batches, self.averaged, self.config, self.process_group = batches, averaged, config, process_group
        self.settings = config.styletts2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + 31)
            reference = len(batches.corpus.speakers) > 1
            model = StyleDiffusion(denoiser_config(averaged.model.config, reference=reference))
        settings = self.settings
        self.part = SidePart(
            model, process_group, learning_rate=settings.diffusion_rate, half_life=settings.diffusion_half_life
        )
        self.masked_rows = 0

    @property
    def modules(self) -> list[torch.nn.Module]:
        """Modules that must be identical in all processes."""
        return [self.part.module, self.part.averaged]

    @property
    def runs(self) -> int:
        """Number of steps of the style sampler so far."""
        return self.part.steps

    def is_active(self, step: int, progress: float) -> bool:
        """True where the style sampler is trained in this step."""
        return progress >= self.settings.diffusion_share and step % self.settings.diffusion_every == 0

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of the style sampler; its terms, scaled to this process' part of the batch."""
        material, share = self.material(step)
        diffusion = self.part.module.train()
        moments = torch.stack([material.styles.mean(), material.styles.square().mean()]) * share.rows
        mean, square = self.process_group.all_reduce(moments)
        diffusion.observe((square - mean.square()).clamp(min=0.0).sqrt(), first=self.part.steps == 0)
        loss, masked = denoising_loss(diffusion, material, text_dropout=self.settings.text_dropout)
        self.masked_rows += masked
        terms = {"diffusion": loss * share.rows}
        total = terms["diffusion"]
        if self.part.steps % self.settings.style_sample_every == 0:
            terms["style_sample"] = sample_loss(diffusion, material) * share.rows
            total = total + self.settings.style_sample_weight * terms["style_sample"]
        self.part.update(total)
        return terms

    @torch.no_grad()
    def material(self, step: int) -> tuple[StyleMaterial, Share]:
        """Styles of utterances of similar length, their texts, and a style of another utterance of each speaker."""
        rng = np.random.default_rng([self.config.seed, step, 2])
        picked = self.batches.similar_lengths(rng, self.settings.diffusion_batch)
        others = [self.batches.style_cut(index, rng) for index in picked]
        rows, part = self.process_group.rows(len(picked))
        picked, others = [picked[row] for row in rows], [others[row] for row in rows]
        device = self.process_group.device
        frames = max(int(self.batches.corpus.frames[picked].min()) // STYLE_STEP * STYLE_STEP, LEAST_FRAMES)
        whole = [self.batches.style_mel(index, 0, frames) for index in picked]
        encoders, model = self.averaged.encoders, self.averaged.model
        styles = encoders(torch.from_numpy(np.stack(whole)).to(device))
        reference = None
        if self.part.module.config.reference:
            reference = encoders(
                torch.from_numpy(np.stack([self.batches.style_mel(*cut) for cut in others])).to(device)
            )
        tokens, lengths = self.batches.tokens(picked)
        tokens, lengths = tokens.to(device), lengths.to(device)
        mask = ~padding_mask(tokens, lengths)
        text = model.bert(tokens, attention_mask=mask.int())
        return StyleMaterial(styles=styles, text=text, mask=mask, reference=reference), Share(rows=part)

    def state(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {**self.part.state(), "masked_rows": self.masked_rows}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.part.load_state(state)
        self.masked_rows = state["masked_rows"]


def averaged_diffusion(state: dict[str, Any], trainee: Trainee) -> StyleDiffusion:
    """The averaged style sampler from :meth:`DiffusionTraining.state`, in eval mode.

    Args:
        state: of a checkpoint.
        trainee: of the same checkpoint.
    """
    reference = any(key.startswith("denoiser.reference.") for key in state["averaged"])
    with torch.random.fork_rng(devices=[]):
        diffusion = StyleDiffusion(denoiser_config(trainee.model.config, reference=reference))
    diffusion.load_state_dict(state["averaged"])
    return diffusion.eval().requires_grad_(False)
