"""A small neural codec on short-time spectra: waveform to tokens and back.

The encoder reads a log-mel; the decoder predicts magnitude and phase of each frame's spectrum for an inverse Fourier
transform (Vocos, Siuzdak 2023). All layers run at the frame rate. Strided convolutions on the waveform, as in EnCodec,
need many times the steps, each of twice the cost, for speech that is intelligible at all.
"""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.models.convnext import LOUDEST, ConvNeXtStack
from voiceclone.models.mamba_conv.config import CodecConfig
from voiceclone.models.mamba_conv.quantizer import Quantized, ResidualQuantizer

FLOOR = 1e-3  # added to mel amplitudes before the logarithm


class Codec(nn.Module):
    """Encoder, quantizer and decoder."""

    window: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.margin = (config.window - config.hop) // 2  # on each side of a frame's own samples
        self.mel = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE, n_fft=config.window, hop_length=config.hop, n_mels=config.bands, power=1, center=False
        )
        self.encoder = ConvNeXtStack(config.bands, config.channels, config.latent, config.encoder_layers)
        # Without it the vectors collapse to nearly one point before quantization starts, and only one code is used
        # afterwards.
        self.norm = nn.BatchNorm1d(config.latent, affine=False)
        self.quantizer = ResidualQuantizer(config.levels, config.codebook_size, config.latent)
        self.decoder = ConvNeXtStack(config.latent, config.channels, config.window + 2, config.decoder_layers)
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)

    @property
    def hop(self) -> int:
        """Samples at 24 kHz of one frame."""
        return self.config.hop

    @property
    def levels(self) -> int:
        """Tokens per frame."""
        return self.config.levels

    @property
    def codebook_size(self) -> int:
        """Number of different tokens of a level."""
        return self.config.codebook_size

    def latents(self, audio: Tensor) -> Tensor:
        """Waveforms ``(B, T)``, T a multiple of the hop, to vectors ``(B, latent, T / hop)`` of about unit variance."""
        mel = self.mel(F.pad(audio, (self.margin, self.margin)))
        return self.norm(self.encoder(torch.log(mel + FLOOR)))

    def resynthesize(self, vectors: Tensor) -> Tensor:
        """Vectors ``(B, latent, F)`` to waveforms ``(B, hop F)``."""
        magnitude, phase = self.decoder(vectors).float().chunk(2, dim=1)
        spectrum = torch.polar(torch.exp(magnitude.clamp(max=LOUDEST)), phase)
        frames = torch.fft.irfft(spectrum, n=self.config.window, dim=1) * self.window[:, None]
        return self._overlap_add(frames) / self._overlap_add(self.window.square()[:, None].expand_as(frames[:1]))

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Frames ``(B, window, F)`` to samples ``(B, hop F)``, the margins cut off."""
        length = self.config.hop * frames.shape[-1]
        kernel, stride = (1, self.config.window), (1, self.config.hop)
        summed = F.fold(frames, (1, length + 2 * self.margin), kernel, stride=stride)
        return summed[:, 0, 0, self.margin : self.margin + length]

    def quantize(self, audio: Tensor, **settings: object) -> Quantized:
        """Encode and quantize waveforms ``(B, samples)``; ``settings`` are those of the quantizer's ``forward``."""
        return self.quantizer(self.latents(audio), **settings)

    @torch.no_grad()
    def encode(self, audio: Tensor) -> Tensor:
        """Waveforms ``(B, T)`` at 24 kHz to tokens ``(B, levels, ceil(T / hop))``."""
        return self.quantizer.encode(self.latents(F.pad(audio, (0, -audio.shape[-1] % self.hop))))

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Tokens ``(B, levels, F)`` to waveforms ``(B, hop F)``."""
        return self.resynthesize(self.quantizer.decode(codes))
