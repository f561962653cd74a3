"""A base of the real Kokoro's size and format with random weights, for speed and memory: nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from voiceclone.models.checkpoint import save_state
from voiceclone.models.nano import NanoKModel, init_for_speech
from voiceclone.models.presets import full_config
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders

VOICES = 5


def full_size_base(folder: Path) -> Path:
    """Write the base to ``folder`` unless it is there: about 440 MB.

    Durations are biased to about three frames per phoneme, as in speech (``init_for_speech``).
    """
    if (folder / "base.json").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = full_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NanoKModel(config)
        init_for_speech(model)
        encoders = build_style_encoders(StyleEncoderConfig())
        for encoder in (encoders.acoustic, encoders.prosodic):
            torch.nn.init.zeros_(encoder.unshared.weight)  # else the styles are so large that cloning refuses them
        voices = {f"v{i}": 0.2 * torch.randn(1, 1, 256).expand(510, 1, 256).contiguous() for i in range(VOICES)}
    (folder / "config.json").write_text(json.dumps(config))
    save_state(model, folder / "model.safetensors")
    save_state(encoders, folder / "style_encoders.safetensors")
    save_file(voices, folder / "voices.safetensors")
    (folder / "base.json").write_text(json.dumps({"name": "full-size, random"}))
    return folder
