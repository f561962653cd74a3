"""Adversarial training with a speech language model (SLM) as discriminator, as in StyleTTS2.

Text is synthesised with a true style or one drawn by the style sampler, with differentiable durations. A crop is
decoded and scored by a head on the SLM's features. Only PL-BERT, the prosody predictor and the style sampler are
trained, with scaled and clipped gradients.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.base_training.batch import StyledBatch
from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.objective import Trainee
from voiceclone.base_training.side_part import SidePart
from voiceclone.base_training.styletts2.soft_durations import soft_alignment, soft_durations
from voiceclone.base_training.styletts2.style_diffusion import DiffusionTraining
from voiceclone.distributed import ProcessGroup
from voiceclone.models.batched_forward import duration_logits, padding_mask, prosody_features, text_features
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.styletts2.sampler import sample_styles
from voiceclone.models.styletts2.slm_head import NARROW, WIDE, SlmHead
from voiceclone.nets.speech_features import SpeechFeatures

logger = logging.getLogger(__name__)
LEARNING = ("bert", "bert_encoder", "predictor")
"""Parts of the model that the adversary trains."""
LARGEST_NORM = 5.0
"""Maximum norm of the predictor's gradient; if it is exceeded, all gradients are divided by the norm."""
DURATION_SCALE = DIFFUSION_SCALE = 0.01
"""Scale of the gradients of the duration layers and of the style sampler."""
SAMPLED = 0.5
"""Fraction of the steps with a style drawn by the style sampler."""
SAMPLE_STEPS = 4
LEAST_FRAMES = 16
REPORT_EVERY = 100  # skipped steps between warnings


class SlmAdversary:
    """Trains the predictor against the SLM discriminator, and the discriminator's head.

    Args:
        diffusion: the style sampler; None where none is trained.
    """

    def __init__(
        self,
        batches: BatchMaker,
        trained: Trainee,
        averaged: Trainee,
        features: SpeechFeatures,
        config: TrainConfig,
        process_group: ProcessGroup,
        *,
        diffusion: DiffusionTraining | None = None,
    ) -> None:
        self.batches, self.config, self.process_group = batches, config, process_group
        self.trained, self.averaged = trained, averaged
        self.settings, self.diffusion = config.styletts2, diffusion
        self.features = features.to(process_group.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + 37)
            head = SlmHead(features.layers, features.width, WIDE if config.preset == "full" else NARROW)
        self.head = SidePart(head, process_group, learning_rate=config.discriminator_rate)
        self.duration_error = torch.inf
        self.steps, self.left_out = 0, 0

    @property
    def modules(self) -> list[nn.Module]:
        """Modules that must be identical in all processes."""
        return [self.head.module, self.head.averaged]

    @property
    def runs(self) -> int:
        """Number of steps that were not skipped."""
        return self.steps

    def is_active(self, step: int, progress: float) -> bool:
        """True where the adversary is used in this step."""
        return progress >= self.settings.slm_share and step % self.settings.slm_every == 0

    def observe(self, duration_error: Tensor) -> None:
        """Update the relative error of utterance lengths, given this process' part of the whole batch's, a scalar."""
        found = float(self.process_group.all_reduce(duration_error.detach().float()))
        known = self.duration_error
        self.duration_error = found if known == torch.inf else 0.9 * known + 0.1 * found

    def match(self, audio: Tensor, target: Tensor) -> Tensor:
        """Relative L1 of SLM features between decoded audio and its recording; both ``(B, T)``."""
        with torch.no_grad():
            real = self.features(target[: self.settings.slm_batch])
        fake = self.features(audio[: self.settings.slm_batch])
        return (fake - real).abs().mean() / real.abs().mean().clamp(min=1e-4)

    def step(self, step: int, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """One step of predictor and style sampler against the head, then one of the head; empty where it is skipped.

        Args:
            step: number of the step.
            optimizer: the generator's; only the trained parts have gradients when it steps.
        """
        if self.duration_error > self.settings.slm_max_duration_error:
            self._leave_out(f"lengths are off by {100 * self.duration_error:.0f} %")
            return {}
        batch = self.batches.slm(step).to(self.process_group.device)
        sampled = step_rng(self.config.seed, step).random() < SAMPLED
        # A compiled vocoder would be compiled again for every new length of these crops.
        with torch.compiler.set_stance("force_eager"):
            spoken = self._spoken(batch, sampled=sampled)
        if spoken is None:
            self._leave_out("utterances are too short")
            return {}
        score = self.head.module.requires_grad_(False)(self.features(spoken))
        loss = (1.0 - score).square().mean() * batch.share.rows
        optimizer.zero_grad(set_to_none=True)
        (self.settings.slm_weight * loss).backward()
        self.head.module.requires_grad_(True)
        self._follow(optimizer)
        terms = {"slm": loss}
        if self.steps % self.settings.slm_discriminator_every == 0:
            terms["slm_discriminator"] = self._discriminator_loss(batch, spoken.detach())
        self.steps += 1
        return terms

    def state(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {
            "head": self.head.state(),
            "duration_error": self.duration_error,
            "steps": self.steps,
            "left_out": self.left_out,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.head.load_state(state["head"])
        self.duration_error, self.steps, self.left_out = state["duration_error"], state["steps"], state["left_out"]

    def _leave_out(self, reason: str) -> None:
        if self.left_out % REPORT_EVERY == 0:
            logger.warning("the SLM discriminator skipped a step (%d ran so far): %s", self.steps, reason)
        self.left_out += 1

    def _spoken(self, batch: StyledBatch, *, sampled: bool) -> Tensor | None:
        """Synthesise a crop of the batch's texts with predicted prosody, ``(B, 600 C)``; None where they are too short.

        No gradient reaches decoder, text encoder or style encoders.
        """
        model = self.trained.model
        fixed = [p for part in (model.decoder, model.text_encoder) for p in part.parameters() if p.requires_grad]
        for parameter in fixed:
            parameter.requires_grad_(False)
        try:
            style = self._styles(batch, sampled=sampled)
            acoustic, prosodic = style[:, :STYLE_DIM], style[:, STYLE_DIM:]
            features = prosody_features(model, batch.tokens, batch.lengths, prosodic)
            durations = soft_durations(duration_logits(model, features, batch.lengths), batch.mask)
            total = int(durations.detach().sum(1).min())
            crop = min(batch.frame_tokens.shape[1], total)
            short = torch.tensor(float(crop < LEAST_FRAMES), device=durations.device)
            if float(self.process_group.all_reduce(short)):  # in any process: all processes must take the same branch
                return None
            start = int(torch.randint(total - crop + 1, ()))
            alignment = soft_alignment(durations, batch.mask, start + crop)[:, :, start:]
            f0, energy = model.predictor.F0Ntrain(features.transpose(1, 2) @ alignment, prosodic)
            text = text_features(model, batch.tokens, batch.lengths) @ alignment
            return model.decoder(text, f0, energy, acoustic).squeeze(1)
        finally:
            for parameter in fixed:
                parameter.requires_grad_(True)

    def _styles(self, batch: StyledBatch, *, sampled: bool) -> Tensor:
        """Styles ``(B, 256)``: of the speaker's recordings, or drawn with a gradient into the style sampler."""
        with torch.no_grad():
            # The averaged encoders: in training mode every forward pass would update spectral norm.
            true = self.averaged.encoders(batch.style_mel)
        if self.diffusion is None or not self.diffusion.part.steps or not sampled:
            return true
        mask = ~padding_mask(batch.tokens, batch.lengths)
        with torch.no_grad():
            text = self.averaged.model.bert(batch.tokens, attention_mask=mask.int())
        sampler = self.diffusion.part.module
        reference = true if sampler.config.reference else None
        return sample_styles(sampler, text, mask, reference, steps=SAMPLE_STEPS)

    def _follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Step with the scaled and clipped gradients of the last backward pass; no step where they are not finite."""
        model = self.trained.model
        learning = nn.ModuleList([getattr(model, part) for part in LEARNING])
        self.process_group.all_reduce_gradients(learning)
        norm = _norm(model.predictor)
        if not np.isfinite(norm):
            optimizer.zero_grad(set_to_none=True)
            if self.diffusion is not None:
                self.diffusion.part.optimizer.zero_grad(set_to_none=True)
            self._leave_out("the gradient is not finite")
            return
        factor = 1.0 / norm if norm > LARGEST_NORM else 1.0
        slow = {id(p) for part in (model.predictor.duration_proj, model.predictor.lstm) for p in part.parameters()}
        for parameter in learning.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor * (DURATION_SCALE if id(parameter) in slow else 1.0))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        # By whether there are gradients, which is the same in all processes. Their norm is 0 in one without rows of its
        # own, and one that did not take part would leave the others waiting.
        if self.diffusion is not None and any(p.grad is not None for p in self.diffusion.part.module.parameters()):
            self.diffusion.part.apply_gradients(scale=factor * DIFFUSION_SCALE)

    def _discriminator_loss(self, batch: StyledBatch, spoken: Tensor) -> Tensor:
        """One step of the head on recordings and on synthesised audio."""
        with torch.no_grad():
            real, fake = self.features(batch.audio), self.features(spoken)
        head = self.head.module
        loss = ((1.0 - head(real)).square().mean() + head(fake).square().mean()) * batch.share.rows
        self.head.update(loss)
        return loss


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The random generator of a step, identical in all processes."""
    return np.random.default_rng([seed, step, 5])


def _norm(module: nn.Module) -> float:
    """L2 norm of the existing gradients."""
    norms = [p.grad.norm() for p in module.parameters() if p.grad is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0
