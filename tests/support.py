"""Shared helpers: a tiny base with random weights, a small dataset of synthetic tones, the real data."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch
from packaging.requirements import Requirement
from safetensors.torch import save_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voiceclone.style.encoders import StyleEncoders

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
QUICK = "initialization,blend,speaker"  # parts that take time, left out where a test is about others


def needs_shared(*parts: str) -> Path:
    """A path of the real data beside the project, or a skip that says so."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data is not here: {path}")
    return path


def project_requirements(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, and what each of some extras does."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # pytest brings it
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e])]
    return [Requirement(line) for line in lines]


def check_packing_again(run: Path, pack: list[str], card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing again leaves nothing of the earlier packing, and the earlier packing where it fails.

    Args:
        run: folder of a run with a packed base.
        pack: the command that packs.
        card: dotted name of the function that writes the card, the last file.
    """
    from voiceclone.cli.main import main

    def content() -> dict[str, bytes]:
        return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file() and p.suffix != ".log"}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    earlier = {path.name for path in (run / "base").iterdir()}
    (run / "base" / "style_diffusion.safetensors").write_bytes(b"of an earlier packing")
    (run / "base" / "notes.txt").write_text("of somebody else")
    before = content()
    with monkeypatch.context() as patch:
        patch.setattr(card, full)
        assert main(pack) == 1
    assert content() == before
    assert main(pack) == 0
    assert {path.name for path in (run / "base").iterdir()} == earlier | {"notes.txt"}


TEACHER_TEXTS = ["hɛlˈO ðɛɹ mI fɹˈɛnd", "ɐ ɡˈʊd dˈA tə ju", "wi ɑɹ hˈɪɹ nˈW", "ɪt ɪz vˈɛɹi lˈAt ænd wi ɑɹ hˈɪɹ"]


def speak_as_teacher(base_folder: Path, folder: Path, count: int, *, with_audio: bool = True) -> Path:
    """The first ``count`` utterances of a base's corpus of its own speech, written into ``folder``."""
    from voiceclone.base_training.teacher import TeacherConfig, VoiceSampler, speak_teacher_utterance
    from voiceclone.bases.base import load_base
    from voiceclone.models.frozen_kokoro import FrozenKokoro

    base = load_base(base_folder)
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    sampler = VoiceSampler(base.stock_voices, TeacherConfig(phonemes=(5, 40)))
    for number in range(count):
        speak_teacher_utterance(number, kokoro, sampler, TEACHER_TEXTS, folder, with_audio=with_audio)
    return folder


def write_base(folder: Path, *, seed: int = 0, voices: int = 4, voice_space: str = "") -> Path:
    """A base of the tiny preset with random weights in the base-folder layout; by default of a space of its own."""
    from voiceclone.models.checkpoint import save_state
    from voiceclone.models.nano import NanoKModel, init_for_speech
    from voiceclone.models.presets import preset
    from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders

    folder.mkdir(parents=True, exist_ok=True)
    config, widths = preset("tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = NanoKModel(config)
        init_for_speech(model)
        encoders = settle(build_style_encoders(StyleEncoderConfig(**widths)))
        curve = torch.linspace(1.0, 0.0, 510)[:, None, None] ** 4
        packs = {
            f"stock_{i}": 0.2 * torch.randn(1, 1, 256) + 0.1 * curve * torch.randn(1, 1, 256) for i in range(voices)
        }
    (folder / "config.json").write_text(json.dumps(config))
    save_state(model, folder / "model.safetensors")
    save_state(encoders, folder / "style_encoders.safetensors")
    if packs:
        save_file({name: pack.contiguous() for name, pack in packs.items()}, folder / "voices.safetensors")
    info = {"name": "tiny", "encoder": widths, **({"voice_space": voice_space} if voice_space else {})}
    (folder / "base.json").write_text(json.dumps(info))
    return folder


def write_vits2(folder: Path, *, speakers: tuple[str, ...] = ("anna", "ben"), **sizes: Any) -> Path:
    """The folder of a VITS2 of the tiny preset with random weights, as ``train-base`` packs one."""
    from voiceclone.models.checkpoint import save_state
    from voiceclone.models.presets import full_config
    from voiceclone.models.vits2.config import changed, vits2_preset
    from voiceclone.models.vits2.speaking import voice_rows
    from voiceclone.models.vits2.synthesizer import Synthesizer

    folder.mkdir(parents=True, exist_ok=True)
    count = len(speakers) if len(speakers) > 1 else 0
    config = changed(vits2_preset("tiny"), {"speakers": count, **sizes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Synthesizer(config)
    vectors = [torch.zeros(0)] if model.speakers is None else list(model.speakers.weight)
    (folder / "config.json").write_text(json.dumps({"model": config.to_json(), "vocab": full_config()["vocab"]}))
    save_state(model, folder / "model.safetensors")
    rows = {name: voice_rows(vector).contiguous() for name, vector in zip(speakers, vectors, strict=True)}
    save_file(rows, folder / "voices.safetensors")
    (folder / "base.json").write_text(json.dumps({"name": "vits", "system": "vits2", "speakers": list(speakers)}))
    return folder


def settle(encoders: StyleEncoders) -> StyleEncoders:
    """Run passes that calibrate spectral norm as training does: otherwise random weights give norms of 1e3 to 1e21."""
    encoders.train()
    with torch.no_grad():
        for _ in range(5):
            encoders(torch.randn(2, 80, 150))
    return encoders.eval()


def write_dataset(folder: Path, *, clips: int = 4, seconds: float = 1.6, seed: int = 0) -> Path:
    """Synthetic clips (a buzzing tone with pauses) whose texts fit their length."""
    texts = ["hello there my friend", "a good day to you", "we are here now", "it is very late", "come in please",
             "that was a long way"]  # fmt: skip
    generator = np.random.default_rng(seed)
    (folder / "train").mkdir(parents=True)
    lines = []
    for index in range(clips):
        time = np.arange(int(seconds * 24000)) / 24000
        pitch = 110 + 15 * index + 10 * np.sin(2 * np.pi * 1.3 * time)
        wave = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / 24000) / k for k in range(1, 9))
        envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * time + index)
        wave = 0.1 * wave * envelope + 0.001 * generator.standard_normal(len(time))
        name = f"clip_{index}.wav"
        soundfile.write(folder / "train" / name, wave.astype(np.float32), 24000)
        lines.append(json.dumps({"file_name": name, "text": texts[index % len(texts)]}))
    (folder / "train" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def styletts2_checkpoint(path: Path) -> tuple[Path, object]:
    """A file of the form of StyleTTS2's ``epochs_2nd_*.pth`` with tiny encoders, and their widths."""
    from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders

    widths = StyleEncoderConfig(dim_in=4, style_dim=128, max_conv_dim=8)
    encoders = build_style_encoders(widths)
    nets = {
        "style_encoder": {f"module.{k}": v for k, v in encoders.acoustic.state_dict().items()},
        "predictor_encoder": {f"module.{k}": v for k, v in encoders.prosodic.state_dict().items()},
    }
    torch.save({"net": nets, "epoch": 20, "hook": getattr}, path)
    return path, widths


@contextlib.contextmanager
def quick_clones() -> Iterator[None]:
    """Clones in which only the first one draws its picture: drawing takes a third of a small run."""
    from voiceclone.cloning import outputs
    from voiceclone.plotting.plots import new_figure

    draw, drawn = outputs.training_figure, 0

    def training_figure(*given: Any, **more: Any) -> Figure:
        nonlocal drawn
        drawn += 1
        return draw(*given, **more) if drawn == 1 else new_figure(1.0, 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outputs, "training_figure", training_figure)
        yield


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Use float64 for new tensors.

    The decoder takes the phase of its source's spectrum as an input. Where a bin is almost empty, the phase is
    determined by rounding and may jump by pi. In float32 two correct ways of computing a gradient then differ by
    several percent, in float64 by 1e-15 of the gradient.
    """
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def doubled(value: Any) -> Any:
    """A tensor, or the tensors of a dataclass at any depth, in float64; anything else unchanged."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if dataclasses.is_dataclass(value):
        parts = {field.name: doubled(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
        return dataclasses.replace(value, **parts)
    return value


def benchmark(name: str) -> Any:
    """The module ``benchmarks/NAME.py``, imported once."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "benchmarks" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
