"""Other programs' voice files, there and back; what those programs do when they read them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError
from voiceclone.voice.formats import FORMATS, read_voices, write_voices
from voiceclone.voice.pack import SHAPE, VoicePack

PACK = VoicePack(torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)), "v")
SUFFIX = {"kokoro-js": "bin"}


@pytest.mark.parametrize("form", FORMATS)
def test_there_and_back_is_exact(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"v.{SUFFIX.get(form, form)}"
    write_voices(path, {"v": PACK}, form)
    assert torch.equal(read_voices(path)["v"].tensor, PACK.tensor)


def test_kokoro_onnx_and_kokoro_js_find_what_they_expect(tmp_path: Path) -> None:
    write_voices(tmp_path / "v.bin", {"v": PACK}, "bin")
    voices = np.load(tmp_path / "v.bin")  # kokoro_onnx.Kokoro.__init__
    assert voices["v"][7].shape == (1, 256) and voices["v"].dtype == np.float32
    write_voices(tmp_path / "js.bin", {"v": PACK}, "kokoro-js")
    raw = np.fromfile(tmp_path / "js.bin", dtype="<f4")  # kokoro.js: data.slice(256 * n, 256 * (n + 1))
    assert np.array_equal(raw[256 * 7 : 256 * 8], PACK.row(8)[0].numpy())


def test_adding_keeps_the_others(tmp_path: Path) -> None:
    PACK.save(tmp_path / "a.pt")
    out = tmp_path / "voices.npz"
    export = ["export", str(tmp_path / "a.pt"), "--to", "npz", "--out", str(out)]
    assert main(export) == 0
    assert main([*export, "--name", "b"]) == 2
    assert main([*export, "--name", "b", "--add"]) == 0
    assert main([*export, "--add"]) == 2
    assert set(read_voices(out)) == {"a", "b"}
    assert main(["export", str(out), "--name", "b", "--to", "pt", "--out", str(tmp_path / "b.pt")]) == 0
    assert torch.equal(VoicePack.load(tmp_path / "b.pt").tensor, PACK.tensor)
    assert main(["export", str(out), "--to", "pt", "--out", str(tmp_path / "c.pt")]) == 2
    assert main([*export[:-1], str(tmp_path / "x.y"), "--to", "mp3"]) == 2


def test_pickled_arrays_never_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return Path.touch, (canary,)

    np.savez(tmp_path / "evil.npz", v=np.array([Evil()], dtype=object))
    with pytest.raises(VoicecloneError):
        read_voices(tmp_path / "evil.npz")
    (tmp_path / "evil.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(VoicecloneError):
        read_voices(tmp_path / "evil.bin")
    assert not canary.exists()


def test_a_zip_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", v=np.zeros((5000, 5000), np.float32))
    with pytest.raises(VoicecloneError, match="larger than voices"):
        read_voices(tmp_path / "bomb.npz")


@given(content=st.binary(max_size=200), suffix=st.sampled_from(["npz", "bin", "safetensors", "pt"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_no_voices(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(VoicecloneError):
        read_voices(path)
