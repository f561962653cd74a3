"""Temporary files that the page serves, each in a folder with a random name."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from pathlib import Path

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE, write_wav

MAX_KEPT = 300  # number of files kept; the oldest are deleted first


class Sounds:
    """A temporary folder, deleted by :meth:`close`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="voiceclone-page-"))
        self.uploads = self.folder / "uploads"
        """Upload folder of gradio, which deletes old files itself."""
        self._made = self.folder / "made"
        self._made.mkdir()

    def of_audio(self, audio: np.ndarray) -> Path:
        """Write audio (float32 ``(T,)`` at 24 kHz) to a WAV file."""
        path = self.place() / "speech.wav"
        write_wav(path, audio, SAMPLE_RATE)
        return path

    def of_file(self, source: Path) -> Path:
        """Copy a file."""
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
        """Delete all files."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)
