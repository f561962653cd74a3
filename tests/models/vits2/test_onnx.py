"""The ONNX file gives the same output as torch, and other programs can load it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from voiceclone.models.checkpoint import fold_weight_norm
from voiceclone.models.presets import full_config
from voiceclone.models.vits2.config import Vits2Config, vits2_preset, with_istft, with_vocos
from voiceclone.models.vits2.onnx_export import METADATA, ExportedVits2, export_onnx, onnx_bytes
from voiceclone.models.vits2.synthesizer import Synthesizer

onnxruntime = pytest.importorskip("onnxruntime")
VOCAB = full_config()["vocab"]


def random_model(config: Vits2Config) -> Synthesizer:
    """Random weights for which every part has an effect and durations are some frames."""
    torch.manual_seed(7)
    model = Synthesizer(config)
    for parameter in model.flow.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    if not config.stochastic_durations:
        model.durations.last.bias.data += 1.2
    fold_weight_norm(model)
    return model.eval().requires_grad_(False)


CASES = {
    "one speaker": vits2_preset("tiny"),
    "speakers": replace(vits2_preset("tiny"), speakers=3, flow="mono_layer_post_residual"),
    "vocos": with_vocos(replace(vits2_preset("tiny"), flow="pre_conv")),
    "istft": with_istft(replace(vits2_preset("tiny"), flow="pre_conv")),
    "stochastic": replace(vits2_preset("tiny"), stochastic_durations=True, flow="fft"),
}


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_agrees_with_torch(name: str) -> None:
    model = random_model(CASES[name])
    session = onnxruntime.InferenceSession(onnx_bytes(model, {}, noise_inputs=True), providers=["CPUExecutionProvider"])
    for count in (5, 50, 300):
        tokens = torch.randint(1, 170, (1, count))
        size = 2 if model.config.stochastic_durations else 1
        inputs = {
            "input": tokens, "input_lengths": torch.tensor([count]), "scales": torch.tensor([0.6, 1.1, 0.5]),
            **({"sid": torch.tensor([2])} if model.speakers is not None else {}),
            "noise": torch.randn(1, model.config.channels, 4000), "noise_w": torch.randn(1, size, count),
        }  # fmt: skip
        ours = ExportedVits2(model, noise_inputs=True)(*inputs.values()).numpy()
        (theirs,) = session.run(None, {key: value.numpy() for key, value in inputs.items()})
        assert theirs.shape == ours.shape and ours.shape[-1] > 300 * count
        assert np.abs(ours - theirs).max() < 1e-4


def test_the_file_draws_its_own_noise() -> None:
    model = random_model(CASES["speakers"])
    session = onnxruntime.InferenceSession(onnx_bytes(model, {}), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["input", "input_lengths", "scales", "sid"]
    tokens = np.arange(1, 31)[None]
    feed = {"input": tokens, "input_lengths": np.array([30]), "sid": np.array([1])}
    quiet, again, loud = (
        session.run(None, {**feed, "scales": np.array([noise, 1.0, noise], dtype=np.float32)})[0]
        for noise in (0.0, 0.0, 1.0)
    )
    assert np.array_equal(quiet, again)
    assert quiet.shape != loud.shape or not np.allclose(quiet, loud)


def exported(folder: Path, config: Vits2Config) -> Path:
    speakers = [f"speaker {number}" for number in range(config.speakers)]
    export_onnx(random_model(config), VOCAB, speakers, "en", folder / "model.onnx")
    return folder / "model.onnx"


def test_files_beside_the_onnx_file(tmp_path: Path) -> None:
    plain, blanks = tmp_path / "plain", tmp_path / "blanks"
    model = exported(plain, CASES["speakers"])
    # piper would put pad tokens where this model knows none.
    assert sorted(path.name for path in plain.iterdir()) == ["model.onnx", "tokens.txt"]
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    own = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    assert own["vocab"] == VOCAB and own["speakers"][1] == "speaker 1" and own["add_blank"] is False
    exported(blanks, replace(CASES["speakers"], add_blank=True))
    config = json.loads((blanks / "model.onnx.json").read_text())
    assert config["num_speakers"] == 3 and config["speaker_id_map"]["speaker 2"] == 2
    assert config["phoneme_id_map"]["eɪ"] == [VOCAB["A"]] and config["phoneme_id_map"]["_"] == [0]


def test_piper_speaks_with_it(tmp_path: Path) -> None:
    piper = pytest.importorskip("piper")
    model = exported(tmp_path, replace(CASES["speakers"], add_blank=True))
    voice = piper.PiperVoice.load(model)
    chunks = list(voice.synthesize("Good morning, my friend.", piper.SynthesisConfig(speaker_id=1)))
    assert chunks[0].sample_rate == 24_000 and len(chunks[0].audio_int16_array) > 10_000
    ids = voice.phonemes_to_ids(voice.phonemize("day")[0])
    assert ids[:2] == [0, 0] and VOCAB["A"] in ids and ids[1::2].count(0) == len(ids) // 2


@pytest.mark.parametrize("blanks", [True, False])
def test_sherpa_speaks_with_it(tmp_path: Path, blanks: bool) -> None:
    sherpa = pytest.importorskip("sherpa_onnx")
    model = exported(tmp_path, replace(CASES["speakers"], add_blank=blanks))
    vits = sherpa.OfflineTtsVitsModelConfig(model=str(model), tokens=str(tmp_path / "tokens.txt"))
    tts = sherpa.OfflineTts(sherpa.OfflineTtsConfig(model=sherpa.OfflineTtsModelConfig(vits=vits)))
    audio = tts.generate("ɡˈʊd mˈɔɹnɪŋ, mI fɹˈɛnd.", sid=2)
    assert tts.num_speakers == 3 and audio.sample_rate == 24_000 and len(audio.samples) > 10_000
