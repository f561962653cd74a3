"""Meta's EnCodec at 24 kHz and 3 kbit/s as an alternative to the own codec, if its files are in the Hub's cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.errors import VoicecloneError

if TYPE_CHECKING:
    from transformers import EncodecModel

REPOSITORY = "facebook/encodec_24khz"
KILOBITS = 3.0  # kbit/s: four codebooks


class EncodecCodec(nn.Module):
    """EnCodec with the interface of :class:`voiceclone.models.mamba_conv.codec.Codec`; it cannot be trained."""

    def __init__(self, model: EncodecModel) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.hop = int(model.config.hop_length)
        self.codebook_size = int(model.config.codebook_size)
        bits = self.codebook_size.bit_length() - 1
        self.levels = max(int(1000 * KILOBITS / (bits * model.config.sampling_rate / self.hop)), 1)

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """Waveforms ``(B, T)`` at 24 kHz to tokens ``(B, levels, ceil(T / hop))``."""
        audio = F.pad(audio, (0, -audio.shape[-1] % self.hop))
        return self.model.quantizer.encode(self.model.encoder(audio.unsqueeze(1)), KILOBITS).transpose(0, 1)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Tokens ``(B, levels, F)`` to waveforms ``(B, hop F)``."""
        return self.model.decoder(self.model.quantizer.decode(codes.transpose(0, 1))).squeeze(1)


def load_encodec() -> EncodecCodec:
    """Load EnCodec from the Hub's cache; nothing is downloaded.

    Raises:
        VoicecloneError: it is not cached.
    """
    from transformers import EncodecModel

    try:
        return EncodecCodec(EncodecModel.from_pretrained(REPOSITORY, local_files_only=True))
    except (OSError, ValueError) as error:
        raise VoicecloneError(
            f"--codec encodec: {REPOSITORY} is not in the Hub's cache: fetch it with `hf download {REPOSITORY}`, or "
            "use the own codec"
        ) from error
