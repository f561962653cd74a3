"""The synthesizer: text and style to codec tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.models.mamba_conv.config import GenerationConfig, MambaConvConfig
from voiceclone.models.mamba_conv.controller import AdaptiveGenerationController
from voiceclone.models.mamba_conv.durations import FilmConditionedDurationPredictor, duration_confidence
from voiceclone.models.mamba_conv.generation import Conditions, generate
from voiceclone.models.mamba_conv.length import expand_tokens, frame_ends, frame_tokens
from voiceclone.models.mamba_conv.style import AudioStyleExtractor
from voiceclone.models.mamba_conv.text_encoder import MambaConvTextEncoder
from voiceclone.models.mamba_conv.token_decoder import TokenDecoder
from voiceclone.models.mamba_conv.variance import NormalizedVarianceAdaptor, decided


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedTokens:
    """Output of the synthesizer for one text."""

    codes: Tensor = field(repr=False)
    """int64 ``(levels, T)``."""
    ends: Tensor = field(repr=False)
    """int64 ``(N,)``: the codec frame at which each text token ends."""
    duration_confidence: Tensor = field(repr=False)
    """``(N,)``, 0-1."""
    info: dict[str, Any] = field(repr=False)
    """Statistics of the generation: iterations, confidence, updates, history."""


class MambaConvTTS(nn.Module):
    """Text encoder, style extractor, durations, variance adaptor, token decoder and controller."""

    def __init__(self, config: MambaConvConfig) -> None:
        super().__init__()
        self.config = config
        self.style = AudioStyleExtractor(config)
        self.text = MambaConvTextEncoder(config)
        self.durations = FilmConditionedDurationPredictor(config)
        self.variance = NormalizedVarianceAdaptor(config)
        self.decoder = TokenDecoder(config)
        self.controller = AdaptiveGenerationController(config)

    @torch.no_grad()
    def speak(
        self,
        tokens: Tensor,
        acoustic: Tensor,
        prosodic: Tensor,
        *,
        speed: float = 1.0,
        settings: GenerationConfig | None = None,
    ) -> GeneratedTokens:
        """Generate the codec tokens of one text, with torch's global random generator.

        Args:
            tokens: int64 ``(1, N)``, with BOS and EOS.
            acoustic: style of the timbre, ``(1, style_dim)``.
            prosodic: style of durations, pitch and energy, ``(1, style_dim)``.
            speed: factor on the voice's own speaking rate.
            settings: of the generation.
        """
        settings = settings or GenerationConfig()
        mask = torch.ones(*tokens.shape, 1, device=tokens.device)
        features = self.text(tokens, acoustic, mask)
        log_durations, log_scales = self.durations(features, prosodic, mask)
        prosody = decided(self.variance.predict(features, prosodic, mask))
        ends = frame_ends(log_durations.exp() / speed, self.config.frame_rate)
        if ends[0, -1] < 1:
            ends[0, -1] = 1
        places, spoken = frame_tokens(ends)

        def laid_out(of: Tensor) -> Tensor:
            return expand_tokens(self.variance.add(of, prosody, mask), places)

        guided = settings.guidance != 1.0
        unstyled = laid_out(self.text(tokens, torch.zeros_like(acoustic), mask)) if guided else None
        conditions = Conditions(
            text=laid_out(features), context=self.text.pooled(features, mask), style=acoustic,
            mask=spoken.unsqueeze(-1).float(), unstyled=unstyled,
        )  # fmt: skip
        codes, info = generate(self.decoder, self.controller, conditions, settings)
        return GeneratedTokens(
            codes=codes[0], ends=ends[0], duration_confidence=duration_confidence(log_scales)[0], info=info
        )


def parameters_by_module(model: MambaConvTTS) -> dict[str, int]:
    """Number of parameters of each part, and ``total``."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    return {**counts, "total": sum(counts.values())}
