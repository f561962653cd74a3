"""Conversion of ONNX files to bases: once, stored by the hash of the source, also with several processes at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from models.onnx_files import convert_narrow, export, take_narrow_models
from models.test_onnx_kokoro import narrow_model

from voiceclone.bases import base as bases
from voiceclone.bases import conversion
from voiceclone.bases.base import load_base, load_stock_voices
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.voice.formats import write_voices
from voiceclone.voice.official import official_voice


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(narrow_model(disable_complex=True), tmp_path_factory.mktemp("onnx") / "narrow.onnx")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, name in ((conversion, "full_config"), (conversion, "SELF_TEST_SECONDS"), (conversion, "SELF_TEST_RMS"),
                         (bases, "KOKORO_CONFIG")):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    take_narrow_models(tmp_path)


def test_an_onnx_file_is_a_base_with_the_official_voices(narrow, onnx_file: Path) -> None:
    lines: list[str] = []
    base = load_base(onnx_file, offline=True, notice=lines.append)
    assert base.kind == "kokoro" and len(base.stock_voices) == 54
    assert base.weights == "full precision (narrow.onnx)" and base.title == "Kokoro-82M, full precision (narrow.onnx)"
    assert torch.equal(base.stock_voices["af_heart"].tensor, official_voice("af_heart").tensor)
    assert len(lines) == 1 and "converting narrow.onnx once" in lines[0]
    lines.clear()
    again = load_base(onnx_file, offline=True, notice=lines.append)
    assert not lines and again.sha256 == base.sha256 and len(base.sha256) == 64
    for key, value in base.kmodel.state_dict().items():
        assert torch.equal(value, again.kmodel.state_dict()[key]), key


def test_the_converted_model_agrees_with_onnxruntime(narrow, onnx_file: Path) -> None:
    pytest.importorskip("onnxruntime")
    converted = conversion.convert_file(onnx_file)
    facts = json.loads((converted.folder / conversion.FACTS).read_text())
    assert facts["precision"] == "float32" and facts["self_test"]["largest_duration_difference"] is None
    # The exported graph is of one length; asked for that, its durations are the model's within a frame.
    from voiceclone.models.frozen_kokoro import FrozenKokoro

    kokoro = FrozenKokoro(load_base(onnx_file).kmodel, torch.device("cpu"))
    voice = official_voice("af_heart").row(6)
    text = kokoro.text("hɛlˈO.")
    assert text.tokens == 8
    theirs = conversion._onnx_durations(onnx_file, text.input_ids[0].tolist(), voice.numpy())
    _, durations = kokoro.speak(text, voice)
    assert theirs is not None and abs(theirs - durations.numpy()).max() <= 1


def test_voices_beside_the_file_are_taken(narrow, onnx_file: Path, tmp_path: Path) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    (own / "model.onnx").write_bytes(onnx_file.read_bytes())
    assert len(load_stock_voices(own / "model.onnx")) == 54
    (own / "voices").mkdir()
    official_voice("am_adam").save(own / "voices" / "a.pt")
    assert list(load_stock_voices(own / "model.onnx")) == ["a"]
    write_voices(own / "voices-v1.0.bin", {"b": official_voice("af_sky")}, "bin")
    assert list(load_base(own / "model.onnx").stock_voices) == ["b"]


def test_a_model_that_does_not_speak_is_not_kept(narrow, onnx_file: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conversion, "SELF_TEST_RMS", (1e6, 1e7))
    with pytest.raises(VoicecloneError, match="the converted model does not speak"):
        conversion.convert_file(onnx_file)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_full_disk_leaves_nothing_half_written(narrow, onnx_file: Path, monkeypatch, tmp_path: Path) -> None:
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VoicecloneError, match="No space left on device"):
        conversion.convert_file(onnx_file)
    monkeypatch.undo()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_damaged_conversion_is_made_again(narrow, onnx_file: Path) -> None:
    converted = conversion.convert_file(onnx_file)
    assert converted.is_whole()
    content = bytearray(converted.weights.read_bytes())
    content[-1] ^= 1
    converted.weights.write_bytes(content)
    assert not converted.is_whole()
    converted.weights.write_bytes(content[:-10])
    assert conversion.find_converted(converted.source_sha256) is None
    assert conversion.convert_file(onnx_file).is_whole()


def test_two_processes_convert_once(narrow, onnx_file: Path, tmp_path: Path) -> None:
    """This process and another one, at the same time."""
    context = multiprocessing.get_context("spawn")  # a forked process may hang in OpenMP
    queue = context.Queue()
    other = context.Process(target=convert_narrow, args=(tmp_path, onnx_file, queue))
    other.start()
    assert queue.get(timeout=120) == "ready"
    lines: list[str] = []
    converted = conversion.convert_file(onnx_file, notice=lines.append)
    results = sorted([(len(lines), converted.is_whole()), queue.get(timeout=120)])
    other.join()
    assert results == [(0, True), (1, True)]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"x")
    with pytest.raises(UsageError, match="no base"):
        load_base(tmp_path / "x.bin")
