"""``doctor`` reports what is installed and what missing parts would add; it fails only if required parts are broken."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from support import REPOSITORY, project_requirements

from voiceclone.cli import checkup
from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError
from voiceclone.models import hub, presets
from voiceclone.system.extras import EXTRAS, install_line, is_installed, require


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("doctor asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr("voiceclone.models.hub.cached", lambda file: None)


def facts_of(capsys, *, code: int = 0) -> dict:
    assert main(["doctor", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_json_holds_everything(capsys) -> None:
    facts = facts_of(capsys)
    assert facts["ok"] and facts["problems"] == []
    assert facts["device"]["chosen"] in ("cpu", "cuda", "mps") and facts["versions"]["torch"][0].isdigit()
    states = {entry["source"]: entry["state"] for entry in facts["weights"]}
    assert states["Hub cache, full precision"] == "missing" and states["part of the package"] == "there"
    assert set(facts["extras"]) == set(EXTRAS)
    assert facts["space"]["here"]["free"] > 0 and facts["space"]["here"]["path"] == str(Path.cwd())


def test_text_says_what_a_missing_extra_adds_and_how_to_get_it(capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "missing record: recording from a microphone (voiceclone record) (pip install '.[record]')" in text
    assert text.splitlines()[-1] == "everything that is needed is there"


def test_a_missing_package_is_a_problem(capsys, monkeypatch) -> None:
    monkeypatch.setattr(checkup, "NEEDED", ("torch", "nothing_of_that_name"))
    facts = facts_of(capsys, code=1)
    assert facts["problems"] == ["the package nothing_of_that_name is missing: install voiceclone again"]
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("PROBLEM: the package nothing_of_that_name")


def test_a_damaged_nano_and_a_damaged_download_are_problems(capsys, monkeypatch, tmp_path: Path) -> None:
    shutil.copytree(presets.NANO_FOLDER, tmp_path / "nano")
    (tmp_path / "nano" / "model.safetensors").write_bytes(b"cut")
    (tmp_path / "kokoro.pth").write_bytes(b"cut")
    monkeypatch.setattr(presets, "NANO_FOLDER", tmp_path / "nano")
    monkeypatch.setattr(hub, "cached", lambda file: tmp_path / "kokoro.pth" if file is hub.KOKORO_WEIGHTS else None)
    facts = facts_of(capsys, code=1)
    assert [entry["state"] for entry in facts["weights"]][::3] == ["damaged", "damaged"]
    first, second = facts["problems"]
    assert "kokoro.pth is not the published file" in first and "the nano base is damaged" in second


def test_a_broken_library_is_a_problem_and_the_rest_is_reported(capsys, monkeypatch) -> None:
    def broken() -> None:
        raise OSError("libcudart.so.13:\n cannot open")

    monkeypatch.setattr(checkup, "device", broken)
    facts = facts_of(capsys, code=1)
    assert facts["problems"] == ["torch cannot be used: OSError: libcudart.so.13: cannot open"]
    assert facts["device"] is None and facts["weights"]


def test_the_lists_are_those_of_pyproject() -> None:
    spelt = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn", "swift-f0": "swift_f0"}
    asked = {canonicalize_name(r.name) for r in project_requirements()}
    assert {spelt.get(name, name.replace("-", "_")) for name in asked} == set(checkup.NEEDED)
    table = (REPOSITORY / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1].split("\n[")[0]
    assert set(re.findall(r"^([a-z0-9-]+) = \[", table, re.M)) - {"test", "styletts2"} == set(EXTRAS)


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_extra_is_what_its_packages_bring(extra: str) -> None:
    """Module and package names agree, so that installed extras are found."""
    packages = {canonicalize_name(r.name) for r in project_requirements(extra)}
    packages -= {canonicalize_name(r.name) for r in project_requirements()}
    assert {canonicalize_name(module) for module in EXTRAS[extra].modules} == packages


def test_a_missing_extra_is_one_line(monkeypatch) -> None:
    for module in ("starlette", "uvicorn"):
        monkeypatch.setitem(sys.modules, module, None)
    assert importlib.util.find_spec("uvicorn") is None and not is_installed("serve")
    line = r"the server needs starlette, uvicorn, which are not installed: pip install '\.\[serve\]' in a checkout"
    with pytest.raises(VoicecloneError, match=line):
        require("serve", what="the server")
    assert "voiceclone[" not in install_line("serve")


def test_install_commands_name_no_foreign_package() -> None:
    files = [*REPOSITORY.glob("*.md"), *(p for s in ("md", "py") for d in ("voiceclone", "docs", "datasets", "scripts")
                                         for p in (REPOSITORY / d).rglob(f"*.{s}"))]  # fmt: skip
    assert len(files) > 100
    assert [str(path) for path in files if re.search(r"pip install\s+['\"]?voiceclone\b", path.read_text())] == []
