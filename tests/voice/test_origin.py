"""A voice is used with the base it was made for; another base gives a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from voiceclone import load_base
from voiceclone.cli.main import main
from voiceclone.errors import UsageError
from voiceclone.files import sha256_of, write_torch
from voiceclone.voice.origin import base_for, misfits, origins_of
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.provenance import stored_provenance


@pytest.fixture(scope="module")
def pack(base_folder: Path) -> VoicePack:
    return load_base(base_folder).stock_voices["stock_1"]


def made(folder: Path, pack: VoicePack, *, kind: str, sha256: str = "0" * 64, base: str = "auto") -> Path:
    """A voice as a clone run leaves it, as far as its origin goes."""
    folder.mkdir(parents=True)
    voice = folder / f"{folder.name}.pt"
    pack.save(voice)
    facts = {"name": f"the {kind} base", "kind": kind, "sha256": sha256}
    report = {"name": folder.name, "base": facts, "voice_sha256": sha256_of(voice)}
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "config.json").write_text(json.dumps({"base": base}))
    return voice


def test_auto_means_the_base_the_voice_was_made_for(tmp_path: Path, pack, base_folder: Path) -> None:
    for kind in ("nano", "kokoro"):
        assert base_for(str(made(tmp_path / kind, pack, kind=kind)), "auto") == kind
    custom = made(tmp_path / "own", pack, kind="custom", base=str(base_folder))
    assert base_for(str(custom), "auto") == str(base_folder)
    assert base_for(f"0.5*{custom} + 0.5*stock_0", "auto") == str(base_folder)
    assert base_for(str(custom), "nano") == "nano"
    assert base_for("af_heart", "auto") == "auto"


def test_a_voice_without_a_report_of_its_own_says_nothing(tmp_path: Path, pack) -> None:
    voice = made(tmp_path / "v", pack, kind="nano")
    other = VoicePack(name="v", tensor=pack.tensor * 0.9)
    other.save(voice)
    assert origins_of(str(voice)) == [] and base_for(str(voice), "auto") == "auto"


def test_voices_of_two_bases_are_not_mixed(tmp_path: Path, pack, capsys) -> None:
    one, other = (made(tmp_path / kind, pack, kind=kind) for kind in ("nano", "kokoro"))
    with pytest.raises(UsageError, match="cannot be mixed"):
        base_for(f"{one} + {other}", "auto")
    assert main(["mix", f"{one} + {other}", "--out", str(tmp_path / "m.pt")]) == 2
    assert "voices of two bases cannot be mixed" in capsys.readouterr().err and not (tmp_path / "m.pt").exists()
    again = made(tmp_path / "again", pack, kind="kokoro", sha256="1" * 64)  # other weights of Kokoro, the same space
    assert base_for(f"{other} + {again}", "auto") == "kokoro"


def test_a_missing_base_is_reported(tmp_path: Path, pack) -> None:
    voice = made(tmp_path / "v", pack, kind="custom", base=str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="give its folder with base"):
        base_for(str(voice), "auto")


def test_say_speaks_on_the_voices_own_base_and_warns_on_another(tmp_path: Path, pack, base_folder, capsys) -> None:
    base = load_base(base_folder)
    own = made(tmp_path / "own", pack, kind="custom", sha256=base.sha256, base=str(base_folder))
    say = ["say", "Good morning.", "--offline", "--json", "--out", str(tmp_path / "a.wav"), "--overwrite", "--voice"]
    assert main([*say, str(own)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["base"] == base.title and "made for" not in captured.err
    foreign = made(tmp_path / "foreign", pack, kind="kokoro")
    assert main([*say, str(foreign), "--base", str(base_folder)]) == 0
    assert "was made for the base the kokoro base, not for tiny" in capsys.readouterr().err


def test_export_to_programs_of_stock_kokoro_warns_of_a_voice_of_another_base(tmp_path: Path, pack, capsys) -> None:
    for kind, warned in (("nano", True), ("kokoro", False)):
        voice = made(tmp_path / kind, pack, kind=kind)
        assert main(["export", str(voice), "--to", "bin", "--out", str(tmp_path / f"{kind}.bin")]) == 0
        assert ("cannot use it" in capsys.readouterr().err) is warned


def test_the_header_of_a_safetensors_file_says_it_too(tmp_path: Path, pack) -> None:
    voice = made(tmp_path / "v", pack, kind="nano")
    out = tmp_path / "elsewhere.safetensors"
    assert main(["export", str(voice), "--to", "safetensors", "--out", str(out)]) == 0
    assert base_for(str(out), "auto") == "nano"
    assert "made for the base the nano base, not for kokoro" in misfits(str(out), "kokoro")[0]


def test_a_mix_says_which_custom_base_its_voices_are_for(tmp_path: Path, pack, base_folder: Path, capsys) -> None:
    """Wherever the file is moved to, and whether the voices in it are files or stock voices of the base."""
    base = load_base(base_folder)
    own = made(tmp_path / "own", pack, kind="custom", sha256=base.sha256, base=str(base_folder))
    for number, mix in enumerate((f"0.5*{own} + 0.5*stock_0", "0.5*stock_1 + 0.5*stock_0")):
        out, moved = tmp_path / f"mix_{number}.pt", tmp_path / f"moved_{number}.pt"
        assert main(["mix", mix, "--base", str(base_folder), "--out", str(out)]) == 0
        out.rename(moved)
        again = tmp_path / f"again_{number}.pt"
        assert main(["export", str(moved), "--to", "pt", "--out", str(again)]) == 0
        for file in (moved, again):
            assert [origin.sha256 for origin in origins_of(str(file))] == [base.sha256]
            assert "made for the base" in misfits(str(file), "kokoro")[0]
            with pytest.raises(UsageError, match="give its folder with base"):
                base_for(str(file), "auto")
    capsys.readouterr()


def test_a_mix_of_kokoros_voices_fits_kokoro_and_nano(tmp_path: Path) -> None:
    out = tmp_path / "m.pt"
    assert main(["mix", "0.5*af_heart + 0.5*am_adam", "--out", str(out)]) == 0
    assert base_for(str(out), "auto") == "auto" and misfits(str(out), "kokoro") == misfits(str(out), "nano") == []


def test_what_a_file_says_of_its_base_does_not_disturb_kokoro(tmp_path: Path, pack) -> None:
    pack.save(tmp_path / "m.pt", provenance={"m": {"base": "x", "base_kind": "custom"}})
    for mapped in (False, True):  # KPipeline loads with weights_only
        assert torch.equal(torch.load(tmp_path / "m.pt", weights_only=True, mmap=mapped), pack.tensor)
    bare = tmp_path / "bare.pt"
    pack.save(bare)
    assert stored_provenance(bare) == {} and stored_provenance(tmp_path / "m.pt")["m"]["base"] == "x"


@pytest.mark.parametrize("note", ["{", "[]", '{"m": 7}', "[" * 100_000, "x" * (2 << 20)])
def test_damaged_notes_of_a_file_are_ignored(tmp_path: Path, pack, note: str) -> None:
    path = tmp_path / "m.pt"
    write_torch(path, pack.tensor, notes={"voiceclone.json": note})
    assert origins_of(str(path)) == [] and torch.equal(VoicePack.load(path).tensor, pack.tensor)
