"""Sounds and files that the page hands out: in a temporary folder under names that nobody can guess."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from pathlib import Path

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE, write_wav

MAX_KEPT = 300  # the oldest go first


class Sounds:
    """Removed at the end of the page."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="voiceclone-page-"))
        self.uploads = self.folder / "uploads"
        """For gradio, which tidies up by itself."""
        self._made = self.folder / "made"
        self._made.mkdir()

    def of_audio(self, audio: np.ndarray) -> Path:
        """A file of float32 ``(T,)`` at 24 kHz."""
        path = self.place() / "speech.wav"
        write_wav(path, audio, SAMPLE_RATE)
        return path

    def of_file(self, source: Path) -> Path:
        """A copy of a file."""
        path = self.place() / source.name
        shutil.copyfile(source, path)
        return path

    def place(self) -> Path:
        """A new folder for one file."""
        places = sorted(self._made.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in places[: max(0, len(places) - MAX_KEPT)]:
            shutil.rmtree(old, ignore_errors=True)
        path = self._made / secrets.token_urlsafe(16)
        path.mkdir()
        return path

    def close(self) -> None:
        """Remove everything."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)
