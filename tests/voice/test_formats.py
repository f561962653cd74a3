"""Other programs' voice formats, both directions, and reading by those programs' code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from voiceclone import load_base
from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError
from voiceclone.voice.formats import FORMATS, read_voices, write_voices
from voiceclone.voice.pack import SHAPE, VoicePack
from voiceclone.voice.provenance import stored_provenance

PACK = VoicePack(torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)), "v")
EXACT = [form for form in FORMATS if form != "compact"]
SUFFIX = {"kokoro-js": "bin"}


@pytest.mark.parametrize("form", EXACT)
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


def test_kokoro_speaks_with_an_exported_voice(tmp_path: Path, base_folder: Path) -> None:
    """Through every format and back to .pt, KPipeline reads the file and says the same."""
    pipeline = load_base(base_folder).pipeline("a")
    at = "stock_1"
    for form in ("npz", "safetensors", "kokoro-js", "bin", "pt"):
        there = tmp_path / f"{form}.{SUFFIX.get(form, form)}"
        arguments = ["export", at, "--to", form, "--out", str(there), "--base", str(base_folder), "--name", "v"]
        assert main(arguments) == 0
        at = str(there)
    said = []
    for voice in ("stock_1", at):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            said += [result.audio for result in pipeline("Good morning.", voice=voice)]
    assert torch.equal(*said)


KOKORO_ONNX = """
import sys, types
import numpy as np
from kokoro_onnx import Kokoro

class Session:  # the place of the model: keeps the style that it is given
    _model_path = sys.argv[1]
    def get_inputs(self):
        types_ = {"tokens": "tensor(int64)", "style": "tensor(float)", "speed": "tensor(float)"}
        return [types.SimpleNamespace(name=name, type=type_) for name, type_ in types_.items()]
    def get_outputs(self):
        return [types.SimpleNamespace(name="audio")]
    def get_modelmeta(self):
        return types.SimpleNamespace(custom_metadata_map={})
    def run(self, outputs, inputs):
        self.style, self.tokens = inputs["style"], inputs["tokens"]
        return [np.ones(24000, np.float32)]

for path in sys.argv[1:]:
    session = Session()
    kokoro = Kokoro.from_session(session, path)
    assert sorted(kokoro.voices) == ["a", "b"], sorted(kokoro.voices)
    kokoro.create("həlˈO", "b", is_phonemes=True)
    phonemes = session.tokens.shape[1] - 2
    expected = np.load(path)["b"][phonemes - 1]
    assert session.style.dtype == np.float32 and session.style.shape == (1, 256), session.style.shape
    assert np.array_equal(session.style, expected) and phonemes == 5, phonemes
    print(float(session.style.sum()))
"""


@pytest.mark.slow
def test_kokoro_onnx_speaks_with_an_exported_voice(tmp_path: Path) -> None:
    """The package needs another NumPy than Kokoro, so it gets an environment of its own; only the model is left out."""
    environment = tmp_path / "env"
    python = environment / "bin" / "python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed")
    for step in (
        ["venv", "--python", sys.executable, environment],
        ["pip", "install", "--python", python, "kokoro-onnx==0.6.1"],
    ):
        done = subprocess.run([uv, *map(str, step), "--quiet"], capture_output=True, text=True, timeout=600)
        if done.returncode:
            pytest.skip(f"kokoro-onnx cannot be installed here: {done.stderr[-200:]}")
    PACK.save(tmp_path / "v.pt")
    files = []
    for form in ("bin", "npz"):
        files.append(str(tmp_path / f"voices.{form}"))
        export = ["export", str(tmp_path / "v.pt"), "--to", form, "--out", files[-1], "--add", "--name"]
        assert main([*export, "a"]) == 0 and main([*export, "b"]) == 0
    done = subprocess.run([python, "-c", KOKORO_ONNX, *files], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert [float(line) for line in done.stdout.split()] == pytest.approx([float(PACK.row(5).sum())] * 2, rel=1e-4)


def test_safetensors_say_where_a_voice_comes_from(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    PACK.save(tmp_path / "v" / "v.pt")
    report = {"name": "v", "base": {"name": "nano", "kind": "nano", "sha256": "ab"}, "consent": "Ann", "seed": 3}
    (tmp_path / "v" / "report.json").write_text(json.dumps(report))
    PACK.save(tmp_path / "other.pt")
    out = str(tmp_path / "all.safetensors")
    assert main(["export", str(tmp_path / "v" / "v.pt"), "--to", "safetensors", "--out", out]) == 0
    assert main(["export", str(tmp_path / "other.pt"), "--to", "safetensors", "--out", out, "--add"]) == 0
    assert main(["export", out, "--name", "v", "--to", "safetensors", "--out", str(tmp_path / "v.safetensors")]) == 0
    with safe_open(out, framework="np") as file:
        assert all(isinstance(value, str) for value in file.metadata().values())
    for path in (out, tmp_path / "v.safetensors"):
        origin = stored_provenance(path)["v"]
        assert origin["base"] == "nano" and origin["consent"] == "Ann" and origin["seed"] == "3"
        assert origin["source"] == "v.pt" and "dataset_fingerprint" not in origin
    assert stored_provenance(out)["other"].keys() == {"source", "written_by"}


def test_a_mix_can_be_exported_at_once(tmp_path: Path, base_folder: Path) -> None:
    out = tmp_path / "m.npz"
    expression = "0.5*stock_0 + 0.5*stock_1"
    assert main(["export", expression, "--base", str(base_folder), "--to", "npz", "--out", str(out)]) == 0
    stock = load_base(base_folder).stock_voices
    mixed = 0.5 * stock["stock_0"].tensor + 0.5 * stock["stock_1"].tensor
    torch.testing.assert_close(read_voices(out)["stock_0+stock_1"].tensor, mixed)


def test_adding_to_a_format_that_holds_one_voice_is_a_wrong_call(tmp_path: Path, capsys) -> None:
    PACK.save(tmp_path / "v.pt")
    assert main(["export", str(tmp_path / "v.pt"), "--to", "pt", "--out", str(tmp_path / "w.pt"), "--add"]) == 2
    assert "--add" in capsys.readouterr().err and not (tmp_path / "w.pt").exists()


@given(content=st.binary(max_size=200), suffix=st.sampled_from(["npz", "bin", "safetensors", "pt"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_refused_in_every_format(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(VoicecloneError):
        read_voices(path)
