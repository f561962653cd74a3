"""Synthesis with a style sampled for every piece of a text, by the base's style sampler."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from kokoro.model import KModel
from torch import Tensor

from voiceclone.errors import UsageError
from voiceclone.models.frozen_kokoro import STYLE_DIM, token_ids
from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.models.styletts2.sampler import LEAST_STEPS, sample_styles

MOST_STEPS = 200
MOST_GUIDANCE = 10.0
LONG_ENOUGH = 20
"""Phonemes of a text that says enough of its style: for shorter ones the sampler counts for less, and guidance can
turn a single word into noise."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Weights of a sampled style, and settings of the sampler."""

    alpha: float = 0.3
    """Weight of the sample in the acoustic half (timbre); the rest is the voice's own style."""
    beta: float = 0.7
    """Weight of the sample in the prosodic half."""
    steps: int = 10
    guidance: float = 1.0
    """Scale of classifier-free guidance by the text; 1 is none."""
    carry: float = 0.7
    """Weight of the previous piece's sample in the next one."""

    def __post_init__(self) -> None:
        for flag, value, highest in (
            ("--alpha", self.alpha, 1.0),
            ("--beta", self.beta, 1.0),
            ("--guidance", self.guidance, MOST_GUIDANCE),
            ("--carry", self.carry, 1.0),
        ):
            if not 0.0 <= value <= highest:
                raise UsageError(f"{flag} {value}: use a number between 0 and {highest:g}")
        if not LEAST_STEPS <= self.steps <= MOST_STEPS:
            raise UsageError(f"--diffusion-steps {self.steps}: use a number from {LEAST_STEPS} to {MOST_STEPS}")


class SampledVoice:
    """A voice whose style is sampled for every piece. Call it with the phonemes to be synthesised.

    Args:
        model: the base's model, whose PL-BERT encodes the text.
        rows: the voice, ``(510, 1, 256)``.
        settings: weights and sampler settings.
        reference: style ``(1, 256)`` of a clip, which replaces the voice's own; None: the voice's row.
        text: phonemes to sample for instead of the synthesised ones.
        seed: the same seed draws the same styles.
    """

    def __init__(
        self,
        model: KModel,
        diffusion: StyleDiffusion,
        rows: Tensor,
        settings: SamplingSettings,
        *,
        seed: int = 0,
        reference: Tensor | None = None,
        text: str | None = None,
    ) -> None:
        self.model, self.settings, self.text = model, settings, text
        self.diffusion = diffusion.to(model.device).eval()
        self.rows, self.reference = rows, reference
        self._generator = torch.Generator().manual_seed(seed)
        self._before: Tensor | None = None

    @torch.no_grad()
    def __call__(self, phonemes: str) -> Tensor:
        """The voice ``(510, 1, 256)`` for synthesising ``phonemes``, on the CPU: one style in all rows."""
        settings = self.settings
        own = self.rows[len(phonemes) - 1].float().cpu() if self.reference is None else self.reference.cpu()
        counts = min(len(phonemes) / LONG_ENOUGH, 1.0)
        style = self._sampled(self.text or phonemes, own, 1.0 + counts * (settings.guidance - 1.0))
        if self._before is not None:
            style = settings.carry * self._before + (1.0 - settings.carry) * style
        self._before = style
        share = torch.cat([torch.full((STYLE_DIM,), settings.alpha), torch.full((STYLE_DIM,), settings.beta)]) * counts
        return torch.lerp(own, style, share).expand(len(self.rows), -1).unsqueeze(1)

    def _sampled(self, phonemes: str, own: Tensor, guidance: float) -> Tensor:
        """Sample a style ``(1, 256)`` for a text, within the distribution of the training styles."""
        device = self.model.device
        tokens = torch.tensor([token_ids(phonemes, self.model.vocab)], device=device)[:, : self.model.context_length]
        mask = torch.ones_like(tokens, dtype=torch.bool)
        text = self.model.bert(tokens, attention_mask=mask.int())
        reference = own.to(device) if self.diffusion.config.reference else None
        drawn = sample_styles(
            self.diffusion, text, mask, reference, steps=self.settings.steps, guidance=guidance,
            generator=self._generator,
        )  # fmt: skip
        return self.diffusion.held(drawn).cpu()
