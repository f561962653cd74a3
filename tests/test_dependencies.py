"""Versions of the libraries: ranges, the pinned set used by the tests, and the old set for styletts2."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import REPOSITORY, project_requirements

EXTRAS = re.search(r"^EXTRAS = (.*)$", (REPOSITORY / "Makefile").read_text(), re.M)[1].split()
NO_NETWORK = ("error sending request", "dns error", "Failed to fetch", "Connection refused", "timed out")


def lines_of(name: str) -> dict[str, Requirement]:
    """The lines of a requirements file that hold for this Python and system, by package."""
    lines = [line.strip() for line in (REPOSITORY / name).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): r for r in found if r.marker is None or r.marker.evaluate()}


def fits(pinned: Requirement, asked: Requirement) -> bool:
    """Whether ``NAME==VERSION`` lies in a range; where nothing is pinned, whether the two ask for the same."""
    exact = [s.version for s in pinned.specifier if s.operator == "=="]
    return all(asked.specifier.contains(version) for version in exact) if exact else pinned.specifier == asked.specifier


def test_requirements_txt_is_the_whole_list_and_lies_in_the_ranges() -> None:
    old = lines_of("requirements.txt")
    wanted = ["styletts2", "kokoro", "torch", "torchaudio", "accelerate", "tensorboard", "wandb", "soundfile", "misaki"]
    assert set(wanted) <= set(old)
    for asked in project_requirements("styletts2"):
        assert fits(old[canonicalize_name(asked.name)], asked), asked


def test_constraints_txt_names_a_release_of_everything_that_is_asked_for() -> None:
    """Fails where `make constraints` was forgotten."""
    newest = lines_of("constraints.txt")
    for asked in project_requirements(*EXTRAS):
        pinned = newest[canonicalize_name(asked.name)]
        assert [s.operator for s in pinned.specifier] == ["=="] and fits(pinned, asked), asked
    assert "styletts2" not in newest


def test_every_extra_is_in_the_constraints_but_styletts2() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    table = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    assert set(re.findall(r"^([a-z0-9-]+) = \[", table, re.M)) == {*EXTRAS, "styletts2"}


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_torch_and_torchaudio_are_one_pair(name: str) -> None:
    lines = lines_of(name)
    assert lines["torch"].specifier == lines["torchaudio"].specifier


def test_readme_names_every_extra_that_is_for_users() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert {extra for extra in EXTRAS if f"| `{extra}` |" not in readme} == {"test"}


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of an environment made of requirements.txt, which takes some gigabytes meanwhile."""
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed: pip install uv")
    environment = tmp_path_factory.mktemp("old") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    command = [uv, "pip", "install", "--quiet", "--python", str(python), "-r", "requirements.txt", "pytest>=8"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip(f"no package registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    done = subprocess.run([uv, "pip", "check", "--python", str(python)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield python
    shutil.rmtree(environment)


@pytest.mark.slow
def test_with_requirements_txt_the_style_encoder_is_the_packages_own(old_python: Path) -> None:
    """Bit for bit, and the style is that of the package's own ``compute_style``; and models load, and files come."""
    parts = ["tests/style", "tests/models", "tests/bases", "tests/cli/test_download.py"]
    command = [old_python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *parts]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout
    assert "styletts2 is not installed" not in done.stdout


@pytest.mark.slow
def test_old_and_new_libraries_compute_the_same(old_python: Path, tmp_path: Path) -> None:
    """Kokoro's text model, durations, speech, style and the random weights of a seed."""
    found = []
    for python in (str(old_python), sys.executable):
        out = tmp_path / f"{len(found)}.npz"
        done = subprocess.run([python, "-c", _COMPUTE, str(out)], capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == 0, done.stderr
        found.append(np.load(out))
    old, new = found
    assert set(old) == set(new) and len(old["speech"]) > 24_000
    for name, tolerance in (("text", 1e-5), ("durations", 0), ("speech", 5e-3), ("style", 1e-5), ("random", 0)):
        assert np.abs(old[name]).max() > 0.1, name
        np.testing.assert_allclose(new[name], old[name], rtol=0, atol=tolerance, err_msg=name)


_COMPUTE = """
import sys
import numpy as np
import torch
from voiceclone.bases.base import load_base
from voiceclone.models.nano import NanoKModel
from voiceclone.models.presets import preset
from voiceclone.style.extraction import extract_styles

base = load_base("nano")
tokens = torch.arange(1, 60).repeat(3, 1)
mask = torch.ones_like(tokens)
mask[1, 30:] = mask[2, 10:] = 0
tone = (0.2 * np.sin(0.05 * np.arange(48000)) * np.linspace(0, 1, 48000)).astype(np.float32)
with torch.no_grad():
    text = base.kmodel.bert(tokens, attention_mask=mask)
    torch.manual_seed(0)
    said = base.kmodel("hˈɛloʊ ðˈɛɹ, maɪ fɹˈɛnd.", base.stock_voices["af_heart"].tensor[20], return_output=True)
    style = extract_styles([("tone", lambda: tone)], base.style_encoders, device=torch.device("cpu")).mean
torch.manual_seed(7)
random = torch.cat([p.detach().flatten() for p in NanoKModel(preset("tiny")[0]).parameters()])
np.savez(sys.argv[1], text=text, durations=said.pred_dur, speech=said.audio, style=style, random=random)
"""
