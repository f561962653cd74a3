"""The packaged official voices, compared with the published files where available, else with stored values."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from support import REPOSITORY, needs_shared

from voiceclone.bases.base import load_stock_voices
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.models.voice_hashes import VOICE_SHA256
from voiceclone.voice import official
from voiceclone.voice.health import HealthRange, examine
from voiceclone.voice.official import ACCURACY, ASSET, OFFICIAL_NAMES, official_voice, official_voices

PLACES = ((0, 0), (0, 200), (7, 130), (100, 5), (509, 255))  # row, column
PUBLISHED = {  # the values of the published files there, to six digits, and the norm of the whole voice
    "af_heart": ((-0.254290, -0.599022, 0.965592, 0.045948, 0.142373), 55.3063),
    "am_adam": ((-0.100372, -0.096460, 0.058599, 0.043423, 0.172033), 57.8543),
    "bm_lewis": ((-0.072274, -0.095588, 0.328443, -0.051711, 0.237389), 68.0910),
    "zf_xiaoyi": ((-0.076815, 0.376945, 0.371376, -0.200563, -0.151775), 79.5666),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_values_are_those_of_the_published_files(name: str) -> None:
    values, norm = PUBLISHED[name]
    tensor = official_voice(name).tensor
    assert [float(tensor[row, 0, column]) for row, column in PLACES] == pytest.approx(values, abs=ACCURACY + 1e-6)
    assert float(tensor.norm()) == pytest.approx(norm, abs=1e-3)


def test_every_value_of_every_voice_is_within_3e_5_of_the_published_one() -> None:
    folder = needs_shared("data", "voices")
    voices = official_voices()
    assert sorted(voices) == sorted(VOICE_SHA256) and len(voices) == 54
    for name, pack in voices.items():
        assert sha256_of(folder / f"{name}.pt") == VOICE_SHA256[name]
        published = torch.load(folder / f"{name}.pt", weights_only=True)
        assert float((pack.tensor - published).abs().max()) <= 3e-5, name


def test_single_loading_equals_loading_all_and_all_are_healthy() -> None:
    voices = official_voices()
    assert tuple(sorted(voices)) == tuple(sorted(OFFICIAL_NAMES))
    for name in ("af_heart", "zm_yunyang"):
        assert torch.equal(official_voice(name).tensor, voices[name].tensor) and voices[name].name == name
    assert all(examine(pack, HealthRange.official()).healthy for pack in voices.values())
    assert ASSET.stat().st_size < 3_000_000


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from voiceclone.models import hub

    for name in ("fetch_hub_file", "cached", "hub_answers"):
        monkeypatch.setattr(hub, name, lambda *a, **k: pytest.fail("the Hub was asked"))
    assert len(load_stock_voices("kokoro")) == 54


def test_another_name_and_a_damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no official voice 'nobody': use one of af_alloy, "):
        official_voice("nobody")
    (tmp_path / "v.safetensors").write_bytes(ASSET.read_bytes()[:1000])
    monkeypatch.setattr(official, "ASSET", tmp_path / "v.safetensors")
    for read in (official_voices, lambda: official_voice("af_heart")):
        with pytest.raises(VoicecloneError):
            read()


def test_the_licence_lies_beside_the_file() -> None:
    texts = {path.name: path.read_text() for path in ASSET.parent.iterdir() if path != ASSET}
    assert "hexgrad/Kokoro-82M" in texts["NOTICE"] and "changed" in texts["NOTICE"]
    assert "END OF TERMS AND CONDITIONS" in texts["LICENSE-Apache-2.0.txt"]
    assert "Apache-2.0" in texts["README.md"]


def test_the_script_makes_the_file_again_and_refuses_other_voices(tmp_path: Path, monkeypatch, capsys) -> None:
    folder = needs_shared("data", "voices")
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import pack_official_voices as script

    out = tmp_path / "again.safetensors"
    monkeypatch.setattr(sys, "argv", ["pack", str(folder), "--out", str(out)])
    assert script.main() == 0 and "largest difference 2.6" in capsys.readouterr().out
    monkeypatch.setattr(official, "ASSET", out)
    again = official_voice("af_river").tensor
    monkeypatch.undo()
    assert torch.allclose(again, official_voice("af_river").tensor, atol=1e-6)  # other machines round in other ways
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    shutil.copy(changed / "af_bella.pt", changed / "af_alloy.pt")
    with pytest.raises(VoicecloneError, match="not the published file"):
        script.pack(changed, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
