"""Checks of output paths, made before any work is done."""

from __future__ import annotations

from pathlib import Path

from voiceclone.errors import UsageError


def check_free(path: Path, *, overwrite: bool, flag: str = "--out") -> None:
    """Refuse to replace a file unless asked to.

    Raises:
        UsageError: ``path`` exists, and ``overwrite`` is False.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: choose another {flag}, or replace it with --overwrite")


def check_voice_path(path: Path, *, overwrite: bool) -> None:
    """The same for a voice file, which ends in ``.pt``.

    Raises:
        UsageError: the name has another ending, or the file exists and ``overwrite`` is False.
    """
    if path.suffix != ".pt":
        raise UsageError(f"--out {path}: the file of a voice ends in .pt")
    check_free(path, overwrite=overwrite)
