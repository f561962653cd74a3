"""The synthesizer and its codec with the interface of ``kokoro.KModel``, for KPipeline and all commands."""

from __future__ import annotations

from typing import Any

import torch
from kokoro.model import KModel
from torch import Tensor, nn

from voiceclone.audio.features import FRAME_SAMPLES
from voiceclone.models.mamba_conv.config import GenerationConfig
from voiceclone.models.mamba_conv.model import GeneratedTokens, MambaConvTTS

CONTEXT = 512  # tokens, with BOS and EOS


class MambaConvKModel(KModel):
    """Uses voices as Kokoro does: the first half is the style of the timbre, the second that of the prosody.

    Args:
        model: the synthesizer.
        codec: decodes tokens to audio.
        vocab: the id of each symbol.
    """

    def __init__(self, model: MambaConvTTS, codec: nn.Module, vocab: dict[str, int]) -> None:
        nn.Module.__init__(self)  # KModel's own initialiser reads or downloads a weight file
        self.repo_id, self.vocab, self.context_length = "voiceclone/mamba-conv", vocab, CONTEXT
        self.model, self.codec = model, codec
        self.settings = GenerationConfig()
        self.last: GeneratedTokens | None = None
        """Of the text spoken last."""

    @property
    def device(self) -> Any:
        """Device of the model."""
        return self.model.text.embedding.weight.device

    @torch.no_grad()
    def forward_with_tokens(self, input_ids: Tensor, ref_s: Tensor, speed: float = 1.0) -> tuple[Tensor, Tensor]:
        """Ids ``(1, N)`` and a voice ``(1, 256)`` to audio ``(T,)`` and frames of 25 ms of every token ``(N,)``."""
        acoustic, prosodic = ref_s.chunk(2, dim=1)
        spoken = self.model.speak(input_ids, acoustic, prosodic, speed=speed, settings=self.settings)
        self.last = spoken
        audio = self.codec.decode(spoken.codes[None])[0]
        ends = torch.round(spoken.ends.double() * self.codec.hop / FRAME_SAMPLES).long()
        return audio, torch.diff(ends, prepend=ends.new_zeros(1))


class StylePair(nn.Module):
    """The style extractor with the interface of a pair of style encoders: both halves of a voice are the same style."""

    def __init__(self, model: MambaConvTTS) -> None:
        super().__init__()
        self.extractor = model.style

    def forward(self, log_mel: Tensor) -> Tensor:
        """Log-mels ``(B, 80, T)`` to vectors ``(B, 2 style_dim)``."""
        style = self.extractor(log_mel)
        return torch.cat([style, style], dim=1)
