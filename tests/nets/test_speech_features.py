"""Whisper's encoder from a CTranslate2 file gives the same features as transformers', and gradients to the audio."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from voiceclone.errors import VoicecloneError
from voiceclone.nets.ctranslate2_file import read_ctranslate2
from voiceclone.nets.speech_features import WhisperFeatures

TYPES = {"float32": 0, "int8": 1, "int16": 2, "float16": 4}


def write_ctranslate2(path: Path, variables: dict[str, np.ndarray], *, version: int = 6) -> Path:
    def name(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    parts = [struct.pack("<I", version), name("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for key, value in variables.items():
        value = np.asarray(value)
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        parts += [name(key), shape, struct.pack("<BI", TYPES[str(value.dtype)], value.nbytes), value.tobytes()]
    path.write_bytes(b"".join(parts) + struct.pack("<I", 0))
    return path


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    config = WhisperConfig(d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=80)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WhisperEncoder(config).eval().requires_grad_(False)


def variables_of(encoder: WhisperEncoder) -> dict[str, np.ndarray]:
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    found: dict[str, np.ndarray] = {"decoder/other": np.zeros(3, dtype=np.float16)}
    found["encoder/num_heads"] = np.int16(2)
    found["encoder/position_encodings/encodings"] = state["embed_positions.weight"]
    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            found[f"encoder/{conv}/{kind}"] = state[f"{conv}.{kind}"]
    for layer in range(2):
        ours, theirs = f"encoder/layer_{layer}", f"layers.{layer}"
        key_bias = np.zeros(16, dtype=np.float32)
        attention = f"{theirs}.self_attn"
        found[f"{ours}/self_attention/linear_0/weight"] = np.concatenate(
            [state[f"{attention}.{part}_proj.weight"] for part in "qkv"]
        )
        found[f"{ours}/self_attention/linear_0/bias"] = np.concatenate(
            [state[f"{attention}.q_proj.bias"], key_bias, state[f"{attention}.v_proj.bias"]]
        )
        linear = {"self_attention/linear_1": "self_attn.out_proj", "ffn/linear_0": "fc1", "ffn/linear_1": "fc2"}
        for mine, other in linear.items():
            for kind in ("weight", "bias"):
                found[f"{ours}/{mine}/{kind}"] = state[f"{theirs}.{other}.{kind}"]
        norms = {"self_attention/layer_norm": "self_attn_layer_norm", "ffn/layer_norm": "final_layer_norm"}
        for mine, other in norms.items():
            found[f"{ours}/{mine}/gamma"] = state[f"{theirs}.{other}.weight"]
            found[f"{ours}/{mine}/beta"] = state[f"{theirs}.{other}.bias"]
    return found


def test_hidden_states_equal_those_of_transformers(encoder, tmp_path):
    from transformers import WhisperFeatureExtractor

    ours = WhisperFeatures(write_ctranslate2(tmp_path / "model.bin", variables_of(encoder)))
    time = np.arange(30 * 16_000) / 16_000
    sound = (0.3 * np.sin(2 * np.pi * (200 + 5 * time) * time)).astype(np.float32)
    mel = WhisperFeatureExtractor()(sound, sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        assert torch.allclose(ours.log_mel(torch.from_numpy(sound)[None]), mel, atol=1e-3)
        theirs = encoder(mel, output_hidden_states=True).hidden_states
        states = ours.hidden_states(torch.from_numpy(sound)[None])
    assert (ours.layers, ours.width) == (3, 16) and states.shape == (1, 3, 16, 1500)
    for number in range(2):  # transformers ends with a further norm
        assert torch.allclose(states[0, number].T, theirs[number][0], atol=2e-3)


def test_the_audio_gets_a_gradient_and_the_weights_none(encoder, tmp_path):
    ours = WhisperFeatures(write_ctranslate2(tmp_path / "model.bin", variables_of(encoder)))
    audio = torch.randn(2, 24_000, requires_grad=True)
    states = ours(audio)
    assert states.shape == (2, 3, 16, 50)
    states.square().mean().backward()
    assert torch.isfinite(audio.grad).all() and audio.grad.abs().sum() > 0
    assert all(p.grad is None for p in ours.parameters())


def test_damaged_and_other_files_are_refused_in_one_line(encoder, tmp_path):
    whole = write_ctranslate2(tmp_path / "model.bin", variables_of(encoder))
    content = whole.read_bytes()
    for number, bad in enumerate((content[:5000], b"", b"\7" + content[1:])):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bad)
        with pytest.raises(VoicecloneError, match="is not a CTranslate2 model"):
            read_ctranslate2(path)
    with pytest.raises(VoicecloneError, match="no encoder of Whisper's"):
        WhisperFeatures(write_ctranslate2(tmp_path / "other.bin", {"encoder/a": np.zeros(3, dtype=np.float32)}))
