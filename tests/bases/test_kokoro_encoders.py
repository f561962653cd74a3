"""The packaged style encoders for Kokoro-82M."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support import needs_shared

from voiceclone.audio.io import read_audio
from voiceclone.bases import base as bases
from voiceclone.bases.base import kokoro_encoders
from voiceclone.bases.kokoro_weights import KokoroWeights
from voiceclone.models.presets import KOKORO_ENCODERS
from voiceclone.style.extraction import extract_styles, largest_style
from voiceclone.voice.official import official_voices
from voiceclone.voice.profile import REFERENCE_ROW


def test_the_encoders_are_small_and_have_recorded_measures() -> None:
    assert (KOKORO_ENCODERS / "style_encoders.safetensors").stat().st_size < 15_000_000
    facts = json.loads((KOKORO_ENCODERS / "encoders.json").read_text())
    figures = facts["recovered"]["held_out_stock_voices"]
    readme = (KOKORO_ENCODERS / "README.md").read_text()
    for name in ("cosine_acoustic", "cosine_prosodic", "f0_error", "rate_error"):
        assert f"{figures[name]:.2f}" in readme, name
    assert kokoro_encoders().config.dim_in == facts["encoder"]["dim_in"]


@pytest.mark.parametrize("speaker", ["librispeech_1688", "vctk_p226"])
def test_recordings_of_people_give_styles_of_a_voices_size(speaker: str) -> None:
    folder = needs_shared("data", "speech", speaker, "train")
    clips = [(p.name, lambda p=p: read_audio(p)) for p in sorted(folder.glob("*.[fw][la][av]*"))[:3]]
    norms = [float(pack.tensor[REFERENCE_ROW].norm()) for pack in official_voices().values()]
    styles = extract_styles(clips, kokoro_encoders(), device=torch.device("cpu"), largest=largest_style(norms))
    found = styles.vectors.norm(dim=1).numpy()
    assert (found > 0.5 * min(norms)).all() and (found < 1.5 * max(norms)).all(), found


def test_the_level_of_a_recording_hardly_matters() -> None:
    time = np.arange(48_000) / 24_000
    speech = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20)) * (
        0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
    )
    clips = [(str(gain), lambda gain=gain: (gain * speech).astype(np.float32)) for gain in (0.03, 0.1)]
    found = extract_styles(clips, kokoro_encoders(), device=torch.device("cpu")).vectors
    norms = [float(pack.tensor[REFERENCE_ROW].norm()) for pack in official_voices().values()]
    assert float((found[0] - found[1]).norm()) < 0.5 * np.mean(norms)


def test_which_pair_is_used_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "load_kmodel", lambda *given: None)
    weights = KokoroWeights(path=KOKORO_ENCODERS, sha256="0" * 64, label="full precision")
    own = bases._load_real(weights, offline=True, style_encoders="own")
    assert own.styles_are_voices and own.load_encoders is kokoro_encoders
    other = bases._load_real(weights, offline=True, style_encoders="styletts2")
    assert not other.styles_are_voices and other.load_encoders is not kokoro_encoders
