"""A speaker encoder for evaluation that no training loss uses.

A small ECAPA-TDNN (Desplanques et al. 2020): residual convolutions with squeeze-and-excitation, attentive statistics
pooling, trained with an additive angular margin. Its input ends at 7.2 kHz and does not depend on the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.nets.front_end import ASSETS, N_MELS, log_mel
from voiceclone.nets.phone_recognizer import config_of, read_net_info, restore


@dataclass(frozen=True, kw_only=True)
class SpeakerNetConfig:
    """Widths of the net."""

    width: int = 128
    """Channels."""
    dilations: tuple[int, ...] = (1, 2, 3)
    """One residual block each, at 50 frames per second."""
    pooled: int = 256
    """Channels that are pooled over time."""
    size: int = 128
    """Dimensions of the embedding."""
    mean_norm: bool = False
    """Subtract the mean spectrum of the clip, and with it both the channel and the voice's average timbre."""


class _Block(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.first_norm = nn.BatchNorm1d(width)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        self.second_norm = nn.BatchNorm1d(width)
        self.squeeze = nn.Linear(width, width // 4)
        self.excite = nn.Linear(width // 4, width)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.first_norm(torch.relu(self.first(hidden)))
        inner = self.second_norm(torch.relu(self.second(inner)))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(inner.mean(2)))))
        return hidden + inner * gate.unsqueeze(2)


class SpeakerNet(nn.Module):
    """Log-mel to speaker embedding; :func:`load_speaker_net` gives the trained one."""

    name = "xvector"

    def __init__(self, config: SpeakerNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpeakerNetConfig()
        self.stem = nn.Conv1d(N_MELS, config.width, 5, stride=2, padding=2)
        self.stem_norm = nn.BatchNorm1d(config.width)
        self.blocks = nn.ModuleList(_Block(config.width, d) for d in config.dilations)
        self.join = nn.Conv1d(config.width * len(config.dilations), config.pooled, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(config.pooled, 64, 1), nn.Tanh(), nn.Conv1d(64, config.pooled, 1)
        )  # fmt: skip
        self.pooled_norm = nn.BatchNorm1d(2 * config.pooled)
        self.head = nn.Linear(2 * config.pooled, config.size)

    def forward(self, features: Tensor) -> Tensor:
        """Log-mels ``(B, 80, F)`` of one length, F at least 10, to unit vectors ``(B, size)``."""
        # Normalise the level again: a crop may be louder or softer than the clip it is from.
        features = features - features.exp().mean(dim=(1, 2), keepdim=True).log()
        if self.config.mean_norm:
            features = features - features.mean(2, keepdim=True)
        hidden = self.stem_norm(torch.relu(self.stem(features / 3.0)))
        levels = []
        for block in self.blocks:
            hidden = block(hidden)
            levels.append(hidden)
        joined = torch.relu(self.join(torch.cat(levels, dim=1))).float()
        weights = self.attention(joined).float().softmax(dim=2)
        mean = (weights * joined).sum(2)
        spread = ((weights * joined.square()).sum(2) - mean.square()).clamp_min(1e-5).sqrt()
        pooled = self.pooled_norm(torch.cat([mean, spread], dim=1))
        return nn.functional.normalize(self.head(pooled).float(), dim=1)

    @torch.no_grad()
    def embed(self, audio: np.ndarray) -> np.ndarray:
        """The unit vector ``(D,)``, float32, of ``audio`` ``(T,)``, 24 kHz; should have a second or more.

        Raises:
            ValueError: the audio is empty, not one-dimensional or not finite.
        """
        return self(log_mel(audio)[None])[0].numpy()


def load_speaker_net(folder: Path = ASSETS) -> SpeakerNet:
    """The packaged speaker encoder, frozen, on the CPU.

    Raises:
        VoicecloneError: a file is missing, damaged, or the weights do not belong to the config.
    """
    info = read_net_info(folder / "speaker_net.json")
    return restore(SpeakerNet(config_of(SpeakerNetConfig, info, folder)), folder / "speaker_net.safetensors")
