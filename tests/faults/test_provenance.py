"""Every voice records its consent and its inputs, and can be reproduced from these."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from support import QUICK

from voiceclone.cli.main import main
from voiceclone.files import sha256_of
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.provenance import stored_provenance

CONSENT = "Ann Example, in writing, 1 May 2025 *<b>"


pytestmark = pytest.mark.usefixtures("quick_clones")


def clone(dataset: Path, base: Path, out: Path, *more: str) -> int:
    return main(["clone", "--data", str(dataset), "--name", "v", "--out", str(out), "--base", str(base), "--offline",
                 "--device", "cpu", "--epochs-projection", "1", "--without", QUICK, *more])  # fmt: skip


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory, dataset_folder: Path, base_folder: Path) -> Path:
    out = tmp_path_factory.mktemp("consent")
    assert clone(dataset_folder, base_folder, out, "--consent", CONSENT, "--seed", "7") == 0
    return out / "v" / "v.pt"


def test_consent_and_origin_stand_in_report_card_artifacts_and_header(voice: Path, tmp_path: Path) -> None:
    report = json.loads((voice.parent / "report.json").read_text())
    assert report["consent"] == CONSENT and report["seed"] == 7 and report["voice_sha256"] == sha256_of(voice)
    card = (voice.parent / "README.md").read_text()
    line = next(line for line in card.splitlines() if line.startswith("consent:"))
    assert "Ann Example, in writing, 1 May 2025" in line and "<b>" not in line  # displayed, not interpreted
    for fact in (report["base"]["sha256"], report["dataset"]["fingerprint"], report["versions"]["torch"]):
        assert fact in card
    assert "| seed | 7 |" in card
    artifacts = torch.load(voice.with_name("v_artifacts.pt"), weights_only=True)
    assert artifacts["consent"] == CONSENT and artifacts["config"]["seed"] == 7
    assert artifacts["identity"]["base"] == report["base"]["sha256"]
    assert artifacts["identity"]["dataset"] == report["dataset"]["fingerprint"]
    assert artifacts["versions"] == report["versions"]
    assert main(["export", str(voice), "--to", "safetensors", "--out", str(tmp_path / "v.safetensors")]) == 0
    header = stored_provenance(tmp_path / "v.safetensors")["v"]
    assert header["consent"] == CONSENT and header["seed"] == "7" and header["voice_sha256"] == sha256_of(voice)
    assert header["base_sha256"] == report["base"]["sha256"]
    assert header["dataset_fingerprint"] == report["dataset"]["fingerprint"]
    assert json.loads(header["versions"]) == report["versions"]


def test_a_voice_is_made_again_from_its_own_settings(
    voice: Path, tmp_path: Path, dataset_folder: Path, base_folder: Path
) -> None:
    config = json.loads((voice.parent / "config.json").read_text())
    names = ("epochs_projection", "lr_projection", "max_style_samples", "max_training_clips", "lang", "seed", "recipe",
             "without")  # fmt: skip
    again = {name: config[name] for name in names} | {"out": str(tmp_path), "consent": config["consent"]}
    (tmp_path / "again.json").write_text(json.dumps(again))
    arguments = ["--data", str(dataset_folder), "--base", str(base_folder), "--config", str(tmp_path / "again.json")]
    assert main(["clone", "--name", "v", "--offline", "--device", "cpu", *arguments]) == 0
    assert (tmp_path / "v" / "v.pt").read_bytes() == voice.read_bytes()


def test_another_voice_in_its_place_does_not_inherit_its_consent(voice: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(voice.parent, tmp_path / "v"))
    VoicePack(VoicePack.load(voice).tensor * 0.9, "v").save(place / "v.pt")
    assert main(["export", str(place / "v.pt"), "--to", "safetensors", "--out", str(tmp_path / "x.safetensors")]) == 0
    assert "consent" not in stored_provenance(tmp_path / "x.safetensors")["v"]


@pytest.mark.parametrize("given", [(), ("--consent", "   ")])
def test_without_consent_the_run_goes_on_and_says_so(
    given: tuple[str, ...], tmp_path: Path, dataset_folder: Path, base_folder: Path, capsys
) -> None:
    assert clone(dataset_folder, base_folder, tmp_path, "--epochs-projection", "0", *given) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("consent:")]
    assert len(said) == 1 and "not stated" in said[0] and "--consent" in said[0]
    assert "\nconsent: not stated\n" in (tmp_path / "v" / "README.md").read_text()
    assert json.loads((tmp_path / "v" / "report.json").read_text())["consent"] == "not stated"
