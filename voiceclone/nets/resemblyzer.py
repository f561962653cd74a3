"""Resemblyzer's speaker encoder, differentiable.

The network is the published one (Wan et al. 2018, "Generalized end-to-end loss for speaker verification"; three LSTM
layers over 40 mels at 16 kHz), its weights are read from the installed package. The package's front end is NumPy; here
it is written in torch, so that gradients pass through it. The package's voice detection, which needs a compiled module,
is left out: long silences are cut by level instead.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.errors import MissingPackageError, VoicecloneError
from voiceclone.system.compiled import load_librosa

PACKAGE = "resemblyzer"
INSTALL = "`pip install --no-deps resemblyzer`"
RATE = 16_000  # Hz
WINDOW, HOP = 400, 160  # samples: 25 and 10 ms
MELS, HIDDEN, LAYERS, SIZE = 40, 256, 3, 256
PARTIAL = 160  # mel frames the network was trained on (1.6 s)
PARTIAL_HOP = 77  # frames between partial utterances (the package's 1.3 per second)
LOWEST_DBFS = -30.0  # quieter audio is amplified to this level, louder audio is unchanged
SILENCE_DB = 40.0  # below the peak; quieter frames are silence

Embed = Callable[[np.ndarray], np.ndarray]
"""A speaker encoder: 24 kHz audio ``(T,)`` to a unit vector ``(D,)``."""


class ResemblyzerEncoder(nn.Module):
    """Audio at 24 kHz to unit vectors of 256 non-negative values."""

    name = "resemblyzer"

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, HIDDEN, LAYERS, batch_first=True)
        self.linear = nn.Linear(HIDDEN, SIZE)
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=MELS, norm="slaney", mel_scale="slaney",
            pad_mode="constant",
        )  # fmt: skip

    def forward(self, audio: Tensor) -> Tensor:
        """Audio ``(B, T)`` at 24 kHz, up to about 2 s, to unit vectors ``(B, 256)``; differentiable."""
        return self._vectors(self.mels(audio))

    def mels(self, audio: Tensor) -> Tensor:
        """Audio ``(B, T)`` at 24 kHz to power mels ``(B, 1 + T // 240, 40)``, not logarithmic."""
        audio = torchaudio.functional.resample(audio, SAMPLE_RATE, RATE)
        rms = audio.square().mean(dim=-1, keepdim=True).sqrt().clamp(min=1e-5)
        audio = audio * (10 ** (LOWEST_DBFS / 20) / rms).clamp(min=1.0)
        return self.mel(audio).transpose(1, 2)

    def _vectors(self, mels: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=-1)

    @torch.no_grad()
    def embed(self, audio: np.ndarray) -> np.ndarray:
        """A whole utterance ``(T,)`` at 24 kHz to its unit vector ``(256,)`` float32: the mean over 1.6 s segments."""
        device = self.linear.weight.device
        mels = self.mels(torch.from_numpy(_voiced(audio))[None].to(device))[0]
        if len(mels) < PARTIAL:
            mels = mels.repeat(-(-PARTIAL // len(mels)), 1)
        starts = range(0, len(mels) - PARTIAL + 1, PARTIAL_HOP)
        vectors = self._vectors(torch.stack([mels[start : start + PARTIAL] for start in starts]))
        return nn.functional.normalize(vectors.mean(0), dim=0).cpu().numpy()


def resemblyzer_is_installed() -> bool:
    """Whether the package, which holds the weights, is installed."""
    return _package_folder() is not None


def load_resemblyzer(device: torch.device | str = "cpu") -> ResemblyzerEncoder | None:
    """The encoder, frozen and in eval mode, or None if the package is not installed.

    Raises:
        VoicecloneError: the package's weight file is missing or damaged.
    """
    folder = _package_folder()
    if folder is None:
        return None
    path = folder / "pretrained.pt"
    with torch.random.fork_rng(devices=[]):
        encoder = ResemblyzerEncoder()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        own = {key: value for key, value in state.items() if key.startswith(("lstm.", "linear."))}
        encoder.load_state_dict({**encoder.state_dict(), **own})
        if len(own) != 4 * LAYERS + 2:
            raise ValueError(f"{len(own)} tensors")
    except Exception as error:  # torch raises many exception types for damaged files
        raise VoicecloneError(f"{path} cannot be used ({error}): install it again: {INSTALL}") from error
    encoder.to(device).eval().requires_grad_(False)
    if torch.device(device).type == "cuda":
        # cuDNN refuses the backward pass of an LSTM in eval mode. This one has no dropout, so the modes give the same.
        encoder.lstm.train()
    return encoder


def required_resemblyzer() -> ResemblyzerEncoder:
    """The encoder on the CPU, for work that cannot do without it.

    Raises:
        MissingPackageError: the package is not installed.
        VoicecloneError: as :func:`load_resemblyzer`.
    """
    encoder = load_resemblyzer()
    if encoder is None:
        raise MissingPackageError(f"this needs Resemblyzer, which is not installed: {INSTALL}")
    return encoder


def _package_folder() -> Path | None:
    # The package itself is not imported: it needs a compiled voice detector.
    spec = importlib.util.find_spec(PACKAGE)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def _voiced(audio: np.ndarray) -> np.ndarray:
    """The audio ``(T,)`` without its silences; unchanged if nothing would be left."""
    librosa = load_librosa()
    audio = np.asarray(audio, dtype=np.float32)
    stretches = librosa.effects.split(audio, top_db=SILENCE_DB, frame_length=1200, hop_length=300)
    kept = [audio[max(start - 1200, 0) : end + 1200] for start, end in stretches]
    return np.concatenate(kept) if kept else audio
