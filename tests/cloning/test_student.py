"""Clones for a base in Kokoro's voice space are aligned and initialized by the student; others by the base itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support import QUICK, write_base

from voiceclone.cloning.api import clone
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.voice.space import KOKORO_SPACE

pytestmark = pytest.mark.usefixtures("quick_clones")


@pytest.fixture
def spoken_by(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """Record which models synthesise whole texts, in order, as alignment does."""
    models: list[torch.nn.Module] = []
    plain = FrozenKokoro.speak

    def speak(self: FrozenKokoro, *args, **kwargs):
        models.append(self.kmodel)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(FrozenKokoro, "speak", speak)
    return models


def run(dataset: Path, base: str, out: Path, **changes):
    settings = {"offline": True, "epochs_projection": 1, "device": "cpu", **changes}
    return clone(dataset, "v", out=str(out), base=base, **settings)


def models_of(spoken_by: list, dataset: Path, base: str, out: Path, **changes) -> int:
    """Number of different models that synthesised for the alignment of a run."""
    spoken_by.clear()
    result = run(dataset, base, out, **{"epochs_projection": 0, "without": QUICK, **changes})
    assert result.report["stock_kokoro"] is (base == "nano" or "shared" in base)
    return len({id(model) for model in spoken_by})


def test_a_base_of_kokoros_voice_space_uses_its_student_unless_disabled(
    tmp_path: Path, dataset_folder: Path, nano: Path, with_student: Path, spoken_by: list
) -> None:
    # The base itself speaks where the phone classifier is tried on it.
    assert models_of(spoken_by, dataset_folder, str(with_student), tmp_path / "a") == 2
    assert models_of(spoken_by, dataset_folder, str(with_student), tmp_path / "b", without=f"{QUICK},student") == 1


def test_other_bases_and_nano_use_no_student(
    tmp_path: Path, dataset_folder: Path, base_folder: Path, nano: Path, spoken_by: list
) -> None:
    assert models_of(spoken_by, dataset_folder, str(base_folder), tmp_path / "a") == 1
    assert models_of(spoken_by, dataset_folder, "nano", tmp_path / "b") == 1
    assert models_of(spoken_by, dataset_folder, "nano", tmp_path / "c", recipe="plain", without="") <= 1


def test_the_voice_is_trained_on_the_base(tmp_path: Path, dataset_folder: Path, nano: Path) -> None:
    """Only alignment and initialization come from the student: another base gives another voice from the same start."""
    vectors = []
    for seed in (1, 2):
        base = write_base(tmp_path / f"shared{seed}", seed=seed, voice_space=KOKORO_SPACE)
        stock = nano / "voices.safetensors"
        (base / "voices.safetensors").write_bytes(stock.read_bytes())
        (base / "style_encoders.safetensors").write_bytes((nano / "style_encoders.safetensors").read_bytes())
        result = run(dataset_folder, str(base), tmp_path / str(seed), without="phones,speaker,blend")
        artifacts = torch.load(result.folder / "v_artifacts.pt", weights_only=True)
        vectors.append((artifacts["anchor"], artifacts["base_vector"]))
    (first, one), (second, other) = vectors
    assert torch.equal(first, second) and not torch.equal(one, other)
