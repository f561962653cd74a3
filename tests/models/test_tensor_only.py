"""StyleTTS2's checkpoint is read without executing code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from support import REPOSITORY

from voiceclone.errors import VoicecloneError
from voiceclone.models.tensor_only import Placeholder, load_tensors
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders, load_styletts2_checkpoint

TINY = StyleEncoderConfig(dim_in=4, style_dim=128, max_conv_dim=8)


class Canary:
    """Creates a file if it is really unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Configured:
    """Some other object, as training scripts leave them in checkpoints."""

    def __init__(self) -> None:
        self.values = {"lr": 1e-4}


def write_checkpoint(path: Path, canary: Path, *, drop: str | None = None) -> dict:
    """A file of StyleTTS2's form: DataParallel keys, five more nets, and objects beside the tensors."""
    torch.manual_seed(3)
    encoders = build_style_encoders(TINY)
    nets = {
        "bert": {"module.x": torch.zeros(2)},
        "style_encoder": {f"module.{k}": v for k, v in encoders.acoustic.state_dict().items()},
        "predictor_encoder": {f"module.{k}": v for k, v in encoders.prosodic.state_dict().items()},
    }
    nets.pop(drop, None)
    torch.save({"net": nets, "epoch": 20, "optimizer": Configured(), "hook": getattr, "bad": Canary(canary)}, path)
    return nets


def test_weights_only_refuses_such_a_file_and_ours_reads_it_without_running_it(tmp_path: Path) -> None:
    path, canary = tmp_path / "epochs_2nd_00020.pth", tmp_path / "canary"
    nets = write_checkpoint(path, canary)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    encoders = load_styletts2_checkpoint(path, TINY)
    assert not canary.exists()
    for key, value in encoders.acoustic.state_dict().items():
        torch.testing.assert_close(value, nets["style_encoder"][f"module.{key}"])
    for key, value in encoders.prosodic.state_dict().items():
        torch.testing.assert_close(value, nets["predictor_encoder"][f"module.{key}"])
    content = load_tensors(path)
    assert isinstance(content["bad"], Placeholder) and isinstance(content["optimizer"], Placeholder)
    # Really unpickled, the canary does create its file: otherwise this test could not fail.
    torch.load(path, weights_only=False)
    assert canary.exists()


@pytest.mark.parametrize("name", ["style_encoder", "predictor_encoder"])
def test_a_missing_encoder_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "epochs_2nd_00001.pth"
    write_checkpoint(path, tmp_path / "canary", drop=name)
    with pytest.raises(VoicecloneError, match="not a StyleTTS2 checkpoint"):
        load_styletts2_checkpoint(path, TINY)


def test_other_widths_are_named(tmp_path: Path) -> None:
    path = tmp_path / "epochs_2nd_00001.pth"
    write_checkpoint(path, tmp_path / "canary")
    with pytest.raises(VoicecloneError, match="do the weights belong"):
        load_styletts2_checkpoint(path, StyleEncoderConfig(dim_in=8, style_dim=128, max_conv_dim=8))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 broken"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(VoicecloneError):
        load_tensors(path)


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pth"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(VoicecloneError, match="not a PyTorch checkpoint of weights"):
        load_tensors(path)


def test_torch_load_is_never_patched() -> None:
    sources = "".join(p.read_text() for p in (REPOSITORY / "voiceclone").rglob("*.py"))
    assert "torch.load =" not in sources and "torch.load=" not in sources
