"""``voices``: own and stock voices; names are checked before torch is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY, write_base

from voiceclone import load_base
from voiceclone.bases.base import load_stock_voices
from voiceclone.bases.stock_names import planned_base, stock_names
from voiceclone.cli.main import main
from voiceclone.voice.formats import write_voices
from voiceclone.voice.library import own_voices
from voiceclone.voice.space import space_of


@pytest.fixture
def out(tmp_path: Path, base_folder: Path) -> Path:
    """Three voices (evaluated clone, mix without a report, clone with damaged files), and files that are no voices."""
    folder = tmp_path / "output"
    stock = load_stock_voices(base_folder)
    for age, name in enumerate(("anna", "mixed", "broken")):
        path = folder / name / f"{name}.pt"
        stock["stock_1"].save(path)
        os.utime(path, (1_760_000_000 - 86_400 * age,) * 2)
    stock["stock_1"].save(folder / "anna" / "anna_old.pt")
    (folder / "anna" / "report.json").write_text(
        json.dumps({"name": "anna", "base": {"name": "tiny", "kind": "custom", "sha256": "ab"}})
    )
    similarity = {"speaker_net": {"mean": 0.8125, "low": 0.7, "high": 0.9}, "other": {"mean": 0.1}}
    judged = {"voices": {"clone": {"similarity": similarity}}}
    (folder / "anna" / "evaluation.json").write_text(json.dumps(judged))
    (folder / "broken" / "report.json").write_text("[" * 100_000)
    (folder / "broken" / "evaluation.json").write_text('{"voices": {"clone": {"similarity": []}}}')
    return folder


def test_own_voices_come_newest_first_then_the_stock_voices(out: Path, base_folder: Path, capsys) -> None:
    assert main(["voices", "--out", str(out), "--base", str(base_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["voices"]
    assert [voice["name"] for voice in found] == ["anna", "mixed", "broken", "stock_0", "stock_1", "stock_2", "stock_3"]
    anna, mixed, broken, stock = found[:4]
    assert anna == {
        "name": "anna",
        "file": str(out / "anna" / "anna.pt"),
        "kind": "clone",
        "base": "tiny",
        "base_kind": "custom",
        "base_sha256": "ab",
        "space": "ab",
        "date": "2025-10-09",
        "likeness": 0.8125,
    }
    assert (mixed["kind"], mixed["base"], mixed["likeness"], mixed["date"]) == ("other", None, None, "2025-10-08")
    assert (broken["kind"], broken["base"], broken["likeness"]) == ("other", None, None)
    assert (stock["kind"], stock["base"], stock["file"]) == ("stock", str(base_folder), None)


def test_the_table_names_what_say_takes(out: Path, base_folder: Path, capsys) -> None:
    assert main(["voices", "--out", str(out), "--base", str(base_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["voice", "kind", "base", "date", "likeness"]
    assert lines[1].split() == [str(out / "anna" / "anna.pt"), "clone", "tiny", "2025-10-09", "0.81"]
    assert lines[-1].split() == ["stock_0", "stock_1", "stock_2", "stock_3"]


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path, capsys) -> None:
    assert main(["voices", "--out", str(tmp_path / "none"), "--base", "kokoro"]) == 0
    text = capsys.readouterr().out
    assert "make one with voiceclone clone" in text and "54 stock voices" in text and "af_heart" in text


@pytest.mark.parametrize("form", ["safetensors", "compact", "folder", "none"])
def test_names_are_those_that_the_base_has(form: str, tmp_path: Path) -> None:
    folder = write_base(tmp_path / "b")
    voices = load_stock_voices(folder)
    (folder / "voices.safetensors").unlink()
    if form in ("safetensors", "compact"):
        curves = {"a.mean": voices["stock_0"], "b": voices["stock_1"]}
        write_voices(folder / "voices.safetensors", curves if form == "safetensors" else _smooth(curves), form)
    elif form == "folder":
        voices["stock_2"].save(folder / "voices" / "c.pt")
    names = stock_names(str(folder))
    assert (names or ()) == tuple(load_base(folder).stock_voices)
    assert (names is None) == (form == "none")


def _smooth(voices):
    """Voices that have a compact form."""
    import torch

    from voiceclone import VoicePack

    return {
        name: VoicePack(voice.tensor[:1] * torch.linspace(1, 0.9, 510)[:, None, None], name)
        for name, voice in voices.items()
    }


def test_auto_is_the_available_base(monkeypatch) -> None:
    from voiceclone.bases import stock_names as module
    from voiceclone.models import registry

    monkeypatch.setattr(registry, "installed", lambda file: None)
    monkeypatch.setattr(module, "weights_at_hand", lambda: None)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert planned_base("auto", offline=True) == "nano" and planned_base("auto", offline=False) == "auto"
    assert "af_heart" in stock_names("auto") and stock_names("auto") == stock_names("nano") == stock_names("kokoro")
    monkeypatch.setattr(registry, "installed", lambda file: [])
    assert planned_base("auto", offline=True) == "kokoro" and planned_base("nano", offline=True) == "nano"


@pytest.mark.parametrize("voice", ["nobody", "0.5*stock_0 + 0.5*nobody", "stock_0(2)+nobody(1)", "nobody.pt"])
def test_a_wrong_name_is_refused_before_torch_is_imported(voice: str, base_folder: Path, tmp_path: Path) -> None:
    call = ["say", "hi", "--voice", voice, "--base", str(base_folder), "--out", str(tmp_path / "x.wav"), "--offline"]
    code = (
        f"import sys\nfrom voiceclone.cli.main import main\nassert main({call!r}) == 2\n"
        "heavy = {'torch', 'kokoro', 'transformers'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert "error: no voice" in done.stderr


@pytest.mark.parametrize(
    ("voice", "base", "fits"),
    [
        (("kokoro", "full", None), ("kokoro", "int8", None), True),  # whatever the precision of the weights
        (("kokoro", "full", None), ("nano", "n", None), False),
        (("kokoro", "full", None), ("nano", "n", "kokoro-82m"), True),
        (("nano", "n", "kokoro-82m"), ("kokoro", "full", None), True),
        (("nano", "n", None), ("kokoro", "full", None), False),
        (("nano", "n", None), ("nano", "n", None), True),
        (("nano", "older", None), ("nano", "n", None), False),
        ((None, None, None), ("kokoro", "full", None), True),
        ((None, None, None), ("custom", "c", None), True),
    ],
)
def test_a_voice_fits_the_bases_of_its_space(tmp_path: Path, voice: tuple, base: tuple, fits: bool) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    (folder / "v.pt").write_bytes(b"")
    facts = dict(zip(("kind", "sha256", "voice_space"), voice, strict=True))
    (folder / "report.json").write_text(json.dumps({"name": "v", "base": facts}))
    (found,) = own_voices(tmp_path)
    assert found.fits(space_of(*base)) == fits
