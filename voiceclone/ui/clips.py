"""Clips that were dropped onto the page, and their transcripts, as a dataset folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PureWindowsPath

from voiceclone.audio.io import AUDIO_SUFFIXES
from voiceclone.data.metadata import METADATA_NAMES, read_listing
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import atomic_path, write_text

TRANSCRIPT_SUFFIX = ".txt"
METADATA = "metadata.jsonl"


def transcripts_of(files: Iterable[str | Path]) -> list[tuple[str, str]]:
    """(clip, transcript) for every audio file among ``files``, in order of their names.

    The transcript comes from a metadata file (``metadata.jsonl``, ``.csv``, ...) among the files, or from a ``.txt``
    file of the clip's name; it is empty where there is neither.

    Raises:
        UsageError: two clips have one name, or a text cannot be read.
    """
    paths = sorted(map(Path, files), key=lambda path: path.name)
    clips = [path.name for path in paths if path.suffix.lower() in AUDIO_SUFFIXES]
    if twice := sorted({name for name in clips if clips.count(name) > 1}):
        raise UsageError(f"two clips are called {twice[0]}: rename one of them")
    texts: dict[str, str] = {}
    for path in paths:
        if path.name in METADATA_NAMES:
            texts.update(_of_metadata(path))
        elif path.suffix.lower() == TRANSCRIPT_SUFFIX:
            texts[path.stem] = " ".join(_read(path).split())
    return [(name, texts.get(name) or texts.get(Path(name).stem, "")) for name in clips]


def make_dataset(folder: Path, files: Sequence[str | Path], texts: Mapping[str, str]) -> Path:
    """Copy the clips that have a transcript into ``folder/train`` and write the metadata; returns ``folder``.

    Raises:
        UsageError: no clip has a transcript.
        VoicecloneError: the folder cannot be written to.
    """
    paths = sorted(map(Path, files), key=lambda path: path.name)
    clips = {path.name: path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES}
    spoken = {name: " ".join(texts.get(name, "").split()) for name in clips}
    rows = [{"file_name": name, "text": text} for name, text in spoken.items() if text]
    if not rows:
        raise UsageError("no clip has a transcript: write down what is said in each")
    train = folder / "train"
    for row in rows:
        with atomic_path(train / row["file_name"]) as temporary:
            shutil.copyfile(clips[row["file_name"]], temporary)
    write_text(train / METADATA, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return folder


def _of_metadata(path: Path) -> dict[str, str]:
    try:
        return {
            PureWindowsPath(listed.row["file_name"].strip()).name: listed.row["text"] for listed in read_listing(path)
        }
    except VoicecloneError as error:
        raise UsageError(str(error).replace(str(path), path.name)) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} cannot be read as UTF-8 text: save it as UTF-8") from error
