"""The installed package: a wheel is built, is complete, and works outside the source folder."""

from __future__ import annotations

import importlib.metadata
import os
import re
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import soundfile
from packaging.requirements import Requirement
from support import REPOSITORY, project_requirements

from voiceclone import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    version = importlib.metadata.version("setuptools")
    if tuple(map(int, version.split(".")[:2])) < (70, 1):
        pytest.skip(f"setuptools {version} cannot build wheels by itself: pip install '.[test]'")
    out = tmp_path_factory.mktemp("wheel")
    source = _copy_of_source(tmp_path_factory.mktemp("source"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet",
               "--disable-pip-version-check", "--wheel-dir", str(out), str(source)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=out)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_the_nano_base_and_the_command(wheel: Path) -> None:
    assert wheel.name == f"kokoro_voiceclone-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(f"kokoro_voiceclone-{__version__}.dist-info/entry_points.txt").decode()
        metadata = archive.read(f"kokoro_voiceclone-{__version__}.dist-info/METADATA").decode()
    source = REPOSITORY / "voiceclone"
    files = {path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    wanted = {path for path in files if path.suffix == ".py" or path.name == "py.typed" or "assets" in path.parts}
    assert {str(path.relative_to(REPOSITORY)) for path in wanted} <= names
    assert "voiceclone/models/assets/nano/model.safetensors" in names
    assert "voiceclone = voiceclone.cli.main:main" in entry_points
    required = {Requirement(line) for line in re.findall(r"^Requires-Dist: ((?:(?!extra ==).)*)$", metadata, re.M)}
    assert required == set(project_requirements())
    licences = f"kokoro_voiceclone-{__version__}.dist-info/"
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names if name.startswith(licences)}
    assert not [name for name in names if not name.startswith(("voiceclone/", licences))]


def test_installed_in_a_fresh_environment_it_speaks(wheel: Path, tmp_path: Path) -> None:
    """The environment sees the libraries of this one, not this source folder."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    bin_folder = environment / ("Scripts" if os.name == "nt" else "bin")
    python = bin_folder / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    # Libraries installed in editable mode are found by .pth files, which are not followed in folders named by one.
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()) + "\n")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=clean)
        assert done.returncode == 0, done.stderr
        return done

    where = run(str(python), "-c", "import voiceclone; print(voiceclone.__file__)").stdout
    assert str(environment) in where
    voiceclone = str(bin_folder / "voiceclone")
    assert run(voiceclone, "--version").stdout.strip() == f"voiceclone {__version__}"
    voice = run(str(python), "-c", _FIRST_VOICE).stdout.strip()
    run(voiceclone, "say", "Hello there.", "--voice", voice, "--base", "nano", "--out", "a.wav", "--offline")
    assert soundfile.info(tmp_path / "a.wav").duration > 0.3


_FIRST_VOICE = "from voiceclone.bases.base import load_stock_voices; print(sorted(load_stock_voices('nano'))[0])"


def _copy_of_source(folder: Path) -> Path:
    """Building writes into the source folder: what is built is a copy of what a build reads."""
    import shutil

    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPOSITORY / name, folder / name)
    shutil.copytree(REPOSITORY / "voiceclone", folder / "voiceclone", ignore=shutil.ignore_patterns("__pycache__"))
    return folder
