"""The acoustic features that StyleTTS2 and Kokoro share: log-mel, F0 and energy at 80 frames per second.

Source: StyleTTS2 ``meldataset.py`` and ``utils.py`` (Li et al. 2023). The mel filterbank there is built without a
sample rate, so it is torchaudio's 16 kHz default applied to 24 kHz audio; the encoders were trained on exactly that.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from voiceclone.audio.io import SAMPLE_RATE as SAMPLE_RATE
from voiceclone.audio.io import resample

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

HOP = 300  # samples between mel, F0 and energy frames (80 Hz)
FRAME_SAMPLES = 600  # samples in one duration frame (25 ms): two mel frames
N_MELS = 80
N_FFT = 2048
WIN = 1200  # samples
LOG_MEAN = -4.0
LOG_STD = 4.0
BAND_EDGE = 250.0  # Hz: transition below the cut-off of a band-limited signal
F0_FLOOR = 60.0  # Hz
MIN_VOICED_HZ = 40.0  # predicted or tracked F0 below this counts as unvoiced
F0_CEILING = 500.0  # Hz
VOICED_CONFIDENCE = 0.1  # of SwiftF0, 0 to 1; its own default of 0.5 calls a quarter of the voiced frames unvoiced
_TRACKER_RATE = 16_000  # Hz


def crop_length(wanted: int, frames: Sequence[int]) -> int:
    """Frames of a crop: ``wanted`` if half of the clips (``frames`` each) or more are that long, else the median.

    A single short clip must not shorten all crops; clips shorter than the crop are not used.
    """
    longest_first = sorted(frames, reverse=True)
    return min(wanted, int(longest_first[(len(longest_first) - 1) // 2]))


def upper_edges(filters: Tensor, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Upper edges of the bands of a filterbank ``(frequencies, bands)``, in Hz, to the width of a bin."""
    count = len(filters)
    last = torch.where(filters > 0, torch.arange(count, device=filters.device)[:, None], -1).amax(dim=0)
    return ((last + 1) * (sample_rate / 2 / (count - 1))).clamp(max=sample_rate / 2)


class LogMel(nn.Module):
    """Normalised log-mel of StyleTTS2: ``(log(1e-5 + mel) + 4) / 4``."""

    def __init__(self) -> None:
        super().__init__()
        # No sample_rate on purpose: see the module's docstring.
        self.mel = torchaudio.transforms.MelSpectrogram(n_mels=N_MELS, n_fft=N_FFT, win_length=WIN, hop_length=HOP)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio ``(B, T)`` at 24 kHz, float32, to ``(B, 80, 1 + T // 300)``."""
        return (torch.log(1e-5 + self.mel(audio)) - LOG_MEAN) / LOG_STD


def limit_bandwidth(audio: Tensor, bandwidth: Tensor) -> Tensor:
    """Remove what lies above a frequency, by a mask on the spectrum that falls over 250 Hz.

    Args:
        audio: ``(B, T)`` at 24 kHz.
        bandwidth: Hz, ``(B,)``. From half the sample rate on nothing is removed.
    """
    if bool((bandwidth >= SAMPLE_RATE / 2).all()):
        return audio
    hertz = torch.fft.rfftfreq(audio.shape[-1], d=1.0 / SAMPLE_RATE, device=audio.device)
    open_end = torch.where(bandwidth >= SAMPLE_RATE / 2, math.inf, bandwidth)
    mask = ((open_end[:, None] - hertz) / BAND_EDGE).clamp(0.0, 1.0)
    return torch.fft.irfft(torch.fft.rfft(audio) * mask, n=audio.shape[-1])


def log_energy(log_mel: Tensor) -> Tensor:
    """Energy ``N`` of StyleTTS2 (``utils.log_norm``): log of the mel's norm; ``(B, 80, T)`` to ``(B, T)``."""
    return torch.log(torch.exp(log_mel * LOG_STD + LOG_MEAN).norm(dim=1))


def track_f0(audio: np.ndarray) -> np.ndarray:
    """F0 in Hz at 80 frames per second, 0 where unvoiced; audio ``(T,)`` at 24 kHz to ``(1 + T // 300,)`` float32.

    By SwiftF0 (Nieradzik 2025), whose frames of 16 ms are interpolated, F0 on the log scale. On speech with known F0 it
    makes half as many gross errors as Harvest, also in hum and noise, in a twentieth of the time
    (docs/lab_notes/f0_tracker.md). Samples that are not finite, which a hardly trained model may produce, count as
    silence.
    """
    times = np.arange(1 + len(audio) // HOP) * (HOP / SAMPLE_RATE)
    samples = resample(np.ascontiguousarray(audio, dtype=np.float32), SAMPLE_RATE, _TRACKER_RATE)
    if len(samples) == 0:
        return np.zeros(len(times), dtype=np.float32)
    samples = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
    found = _f0_tracker().detect(samples, _TRACKER_RATE, F0_FLOOR, F0_CEILING)
    f0 = np.exp(np.interp(times, found.timestamps, np.log(found.pitch_hz)))
    voiced = np.interp(times, found.timestamps, found.confidence) >= VOICED_CONFIDENCE
    return np.where(voiced, f0, 0.0).astype(np.float32)


@functools.cache
def _f0_tracker() -> SwiftF0:
    from swift_f0 import SwiftF0

    # One thread: the network is small, and its output must not depend on the number of cores.
    return SwiftF0(threads=1)
