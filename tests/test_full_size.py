"""A whole clone with files in the official format and size but random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support import write_dataset

from voiceclone import clone, load_base
from voiceclone.models.checkpoint import PARTS
from voiceclone.models.nano import NanoKModel, init_for_speech
from voiceclone.models.presets import full_config
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders

pytestmark = pytest.mark.slow
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.fixture(scope="module")
def official_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``config.json``, ``kokoro-v1_0.pth``, StyleTTS2's checkpoint and two voices, as they lie on the Hub."""
    folder = tmp_path_factory.mktemp("official")
    config = full_config()
    (folder / "config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NanoKModel(config)
        init_for_speech(model)
        encoders = build_style_encoders(StyleEncoderConfig())
        voices = [0.2 * torch.randn(1, 1, 256).expand(510, 1, 256) for _ in range(2)]
    state = {part: {f"module.{k}": v for k, v in getattr(model, part).state_dict().items()} for part in PARTS}
    torch.save(state, folder / "kokoro-v1_0.pth")
    nets = {
        "style_encoder": {f"module.{k}": v for k, v in encoders.acoustic.state_dict().items()},
        "predictor_encoder": {f"module.{k}": v for k, v in encoders.prosodic.state_dict().items()},
    }
    (folder / "Models" / "LibriTTS").mkdir(parents=True)
    torch.save({"net": nets, "hook": getattr}, folder / "Models" / "LibriTTS" / "epochs_2nd_00020.pth")
    (folder / "voices").mkdir()
    for index, voice in enumerate(voices):
        torch.save(voice.contiguous(), folder / "voices" / f"af_{index}.pt")
    return folder


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_CUDA])])
def test_the_whole_job_at_full_size(official_folder: Path, tmp_path: Path, device: str) -> None:
    out = tmp_path
    data = write_dataset(out / "ds")
    result = clone(data, "v", out=str(out), base=str(official_folder), epochs_projection=2, device=device, offline=True)
    assert result.report["epochs"] == 2 and torch.isfinite(result.voice.tensor).all()
    assert not torch.equal(
        result.voice.tensor[100], torch.load(out / "v" / "v_artifacts.pt", weights_only=True)["anchor"]
    )
    base = load_base(official_folder)
    written = torch.load(result.folder / "v.pt", weights_only=True)
    assert written.shape == (510, 1, 256) and torch.equal(written, result.voice.tensor)
    assert sum(p.numel() for p in base.kmodel.parameters()) > 81_000_000
    pipeline = base.pipeline("a")
    spoken = {}
    for voice in (result.folder / "v.pt", official_folder / "voices" / "af_0.pt"):
        spoken[voice.stem] = torch.cat([r.audio for r in pipeline("Good morning.", voice=str(voice))])
    assert all(len(audio) > 2400 and torch.isfinite(audio).all() and audio.std() > 0 for audio in spoken.values())
    own, stock = spoken["v"], spoken["af_0"]
    assert len(own) != len(stock) or not torch.allclose(own, stock, atol=1e-3)  # it speaks with the voice
