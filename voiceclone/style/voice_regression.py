"""Linear regression from measurements of recordings to a voice of Kokoro's space.

Besides the style it takes Resemblyzer's vector and F0. Figures on Kokoro's own speech and on recordings are in
docs/lab_notes/zero_shot.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from voiceclone.audio.features import MIN_VOICED_HZ, track_f0
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes
from voiceclone.models.checkpoint import read_safetensors
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.presets import KOKORO_ENCODERS
from voiceclone.nets.resemblyzer import SIZE as SPEAKER_DIM

VALUES = 2 * STYLE_DIM  # of a style and of a voice: acoustic half, prosodic half
F0_DIM = 2
FEATURES = VALUES + SPEAKER_DIM + F0_DIM
LEAST_VOICED = 40  # frames (0.5 s of speech) below which F0 is not measured
FILE = KOKORO_ENCODERS / "voice_regression.safetensors"


@dataclass(frozen=True, kw_only=True, eq=False)
class VoiceRegression:
    """An affine map from the features of a speaker's recordings to the voice vector."""

    weight: Tensor = field(repr=False)  # (FEATURES, 256) float32
    bias: Tensor = field(repr=False)  # (256,) float32
    f0_mean: Tensor = field(repr=False)  # (2,): stands in for F0 that cannot be measured

    def __post_init__(self) -> None:
        if self.weight.shape != (FEATURES, VALUES) or self.bias.shape != (VALUES,) or len(self.f0_mean) != F0_DIM:
            raise ValueError(f"a regression from {FEATURES} features to {VALUES} values has other shapes")

    def voice(self, style: Tensor, speaker: Tensor, f0: Sequence[np.ndarray]) -> Tensor:
        """The voice vector ``(1, 256)`` at the reference row.

        Args:
            style: mean style of the clips, ``(1, 256)``.
            speaker: Resemblyzer's mean vector of the clips, ``(256,)``, unit length.
            f0: of the clips, each ``(frames,)`` in Hz, 0 where unvoiced.
        """
        statistics = f0_statistics(f0)
        pitch = self.f0_mean if statistics is None else torch.from_numpy(statistics).float()
        features = torch.cat([style.flatten().float().cpu(), speaker.flatten().float().cpu(), pitch])
        return (features @ self.weight + self.bias)[None]

    def save(self, path: Path) -> None:
        """Write the regression as safetensors in float16; atomic."""
        values = {"weight": self.weight, "bias": self.bias, "f0_mean": self.f0_mean}
        write_bytes(path, save({name: value.half().contiguous() for name, value in values.items()}))


def load_voice_regression(path: Path = FILE) -> VoiceRegression:
    """Read a regression, by default the package's, for Kokoro's voices.

    Raises:
        VoicecloneError: the file is missing, damaged or holds something else.
    """
    values = {name: value.float() for name, value in read_safetensors(path).items()}
    try:
        return VoiceRegression(**values)
    except (TypeError, ValueError) as error:
        raise VoicecloneError(f"{path}: holds no regression of voices ({error}): install the package again") from error


def f0_statistics(tracks: Sequence[np.ndarray]) -> np.ndarray | None:
    """Median and standard deviation of the natural log of F0 over the voiced frames of all tracks, float32 ``(2,)``.

    Args:
        tracks: F0 in Hz, each ``(frames,)`` at 80 frames per second.

    Returns:
        The statistics; None for fewer than :data:`LEAST_VOICED` voiced frames.
    """
    joined = np.concatenate([np.asarray(track, dtype=np.float64) for track in tracks]) if len(tracks) else np.zeros(0)
    voiced = np.log(joined[joined > MIN_VOICED_HZ])
    if len(voiced) < LEAST_VOICED:
        return None
    return np.array([np.median(voiced), voiced.std()], dtype=np.float32)


def f0_of(pieces: Sequence[np.ndarray], most_samples: int) -> list[np.ndarray]:
    """F0 tracks of pieces ``(T,)`` at 24 kHz, of ``most_samples`` in all at most."""
    tracks, left = [], most_samples
    for piece in pieces:
        if left <= 0:
            break
        tracks.append(track_f0(piece[:left]))
        left -= len(piece)
    return tracks
