"""The log-mel front end of the phone recogniser and the xvector encoder: independent of the level, 60 to 7200 Hz.

Speech stored at 16 kHz ends near 7.5 kHz, speech stored at 24 kHz does not; without the upper bands the
nets cannot tell data sets apart by their sample rate.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor

from voiceclone.audio.augment import FLOOR
from voiceclone.audio.io import SAMPLE_RATE

N_MELS = 80
HOP = 240  # samples: 100 frames a second
N_FFT = 1024
WIN = 600  # samples
LOWEST, HIGHEST = 60.0, 7200.0  # Hz
SHORTEST = 2400  # samples; shorter audio is padded with silence
ASSETS = Path(__file__).resolve().parent / "assets" / "judges"


@functools.cache
def _mel() -> torchaudio.transforms.MelSpectrogram:
    return torchaudio.transforms.MelSpectrogram(
        SAMPLE_RATE, n_fft=N_FFT, win_length=WIN, hop_length=HOP, f_min=LOWEST, f_max=HIGHEST, n_mels=N_MELS
    )


@torch.no_grad()
def log_mel(audio: np.ndarray | Tensor) -> Tensor:
    """Log-mel of one clip relative to its mean power, natural log, floored 50 dB below the mean.

    Args:
        audio: ``(T,)`` at 24 kHz, any level.

    Returns:
        float32 ``(80, 1 + T // 240)``.

    Raises:
        ValueError: the audio is not one-dimensional, empty, or holds NaN or infinite samples.
    """
    audio = torch.as_tensor(audio, dtype=torch.float32)
    if audio.ndim != 1 or not len(audio) or not torch.isfinite(audio).all():
        raise ValueError(f"audio of shape {tuple(audio.shape)}: one non-empty channel of finite samples is needed")
    if len(audio) < SHORTEST:
        audio = torch.nn.functional.pad(audio, (0, SHORTEST - len(audio)))
    power = _mel()(audio)
    return torch.log(power / power.mean().clamp_min(1e-12) + FLOOR)
