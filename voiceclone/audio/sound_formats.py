"""The audio formats that can be written, by file suffix. This module imports no heavy library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SoundFormat:
    """The names of a format in libsndfile and in HTTP."""

    container: str
    subtype: str
    media_type: str


FORMATS = {
    "wav": SoundFormat(container="WAV", subtype="PCM_16", media_type="audio/wav"),
    "flac": SoundFormat(container="FLAC", subtype="PCM_16", media_type="audio/flac"),
    "ogg": SoundFormat(container="OGG", subtype="VORBIS", media_type="audio/ogg"),
    "opus": SoundFormat(container="OGG", subtype="OPUS", media_type="audio/ogg; codecs=opus"),
    "mp3": SoundFormat(container="MP3", subtype="MPEG_LAYER_III", media_type="audio/mpeg"),
}


def format_of(path: Path) -> str:
    """The key of :data:`FORMATS` for a file's name.

    Raises:
        UsageError: the suffix is unknown.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise UsageError(f"--out {path}: give a name that ends in one of {endings}, or - for WAV on standard output")
    return form
