"""Aligned targets on a tiny frozen Kokoro."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.projection.targets import Target, align_all, prepare_target
from voiceclone.voice.profile import LengthProfile

PHONEMES = ["hɛlˈO ðɛɹ mI fɹˈɛnd", "ɐ ɡˈʊd dˈA tə ju", "wi ɑɹ hˈɪɹ nˈW", "ɪt ɪz vˈɛɹi lˈAt"]


@pytest.fixture(scope="session")
def profile(base: Base) -> LengthProfile:
    return LengthProfile.of(base.stock_voices.values())


@pytest.fixture(scope="session")
def targets(dataset_folder: Path, kokoro: FrozenKokoro, voice: torch.Tensor) -> list[Target]:
    raw = [
        prepare_target(f"clip_{i}", phonemes, read_audio(dataset_folder / "train" / f"clip_{i}.wav"), kokoro)
        for i, phonemes in enumerate(PHONEMES)
    ]
    assert all(isinstance(target, Target) for target in raw)
    aligned, _ = align_all(raw, kokoro, lambda count: voice, LogMel(), seed=0)
    return aligned
