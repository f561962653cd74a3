"""The initial state of a training: the level of the clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.projection.preparation import Material, first_state
from voiceclone.projection.recipes import projection_config
from voiceclone.projection.targets import prepare_target
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.profile import LengthProfile


def test_the_speaker_is_measured_at_the_level_of_the_bases_speech(
    base: Base, kokoro: FrozenKokoro, profile: LengthProfile, dataset_folder: Path
) -> None:
    config = projection_config("best", frozenset({"blend"}), epochs=1, lr=1e-3, seed=0)

    def loudness_measured(loudness: float) -> float:
        audio = loudness * read_audio(dataset_folder / "train" / "clip_0.wav")
        target = prepare_target("clip", "hɛlˈO ðɛɹ mI fɹˈɛnd", audio, kokoro)
        gains: list[float] = []
        material = Material(
            kokoro=kokoro, stock=base.stock_voices, profile=profile, train=[target], validation=[target],
            speaker_at=lambda gain: gains.append(gain),
        )  # fmt: skip
        state = first_state(config, material, reporter=Reporter(verbosity=-1))
        assert set(gains) == {state.gain}
        return float((gains[0] * target.audio).square().mean().sqrt())

    assert loudness_measured(0.25) == pytest.approx(loudness_measured(1.0), rel=1e-3)
