"""Package versions that a voice was made with, for its card and config."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("voiceclone", "kokoro", "misaki", "torch", "torchaudio", "transformers", "accelerate", "numpy", "librosa")


def package_versions() -> dict[str, str]:
    """Installed version of each package that matters, and of Python."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = _own_version() if name == "voiceclone" else "not installed"
    return versions


def _own_version() -> str:
    from voiceclone import __version__

    return __version__
