"""Input frames of the posterior encoder: the cached log-mel of a corpus, or VITS' spectrograms at any rate."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.audio.features import LogMel
from voiceclone.models.vits2.config import FrontEnd

FLOOR = 1e-5  # minimum of mel magnitudes before the logarithm


class Spectrogram(nn.Module):
    """Audio to frames: StyleTTS2's log-mel with the default front end, else VITS' mel or linear spectrogram."""

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self.front_end = front_end
        self.cached = LogMel() if front_end.is_cached else None
        if self.cached is None:
            self.register_buffer("window", torch.hann_window(front_end.win), persistent=False)
            bands = torchaudio.functional.melscale_fbanks(
                front_end.n_fft // 2 + 1, front_end.f_min, front_end.f_max or front_end.sample_rate / 2,
                front_end.n_mels, front_end.sample_rate, norm="slaney", mel_scale="slaney",
            )  # fmt: skip
            self.register_buffer("bands", bands.T, persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Audio ``(B, hop T)`` at the front end's rate to ``(B, bands, T)``."""
        front = self.front_end
        count = audio.shape[-1] // front.hop
        if self.cached is not None:
            return self.cached(audio)[..., :count]
        pad = (front.n_fft - front.hop) // 2
        mode = "reflect" if audio.shape[-1] > pad else "constant"
        audio = F.pad(audio.unsqueeze(1), (pad, front.n_fft - front.hop - pad), mode=mode).squeeze(1)
        complex_ = torch.stft(audio, front.n_fft, front.hop, front.win, self.window, center=False, return_complex=True)
        magnitude = (complex_.real**2 + complex_.imag**2 + 1e-6).sqrt()
        if front.posterior == "linear":
            return magnitude[..., :count]
        return torch.log((self.bands @ magnitude).clamp(min=FLOOR))[..., :count]
