"""Build a dataset folder from uploaded clips and their transcripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath

from voiceclone.audio.io import AUDIO_SUFFIXES
from voiceclone.data.dataset import VALIDATION_SHARE
from voiceclone.data.metadata import METADATA_NAMES, SPLITS, read_listing
from voiceclone.data.tables import read_text
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import atomic_path, write_text

TRANSCRIPT_SUFFIX = ".txt"
METADATA = "metadata.jsonl"
MIN_CLIPS = 3  # two for training, one for validation


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


def make_dataset(folder: Path, clips: Sequence[tuple[Path, str]]) -> Path:
    """Copy clips with their texts into ``folder/train`` and ``folder/validation``.

    Existing content of the folder is replaced. The validation clips are spread evenly over the session, because the
    delivery at its end differs from that at its beginning.

    Args:
        folder: the dataset folder.
        clips: ``(path, transcript)`` in the order of recording.

    Returns:
        ``folder``.

    Raises:
        UsageError: there are fewer than :data:`MIN_CLIPS` clips.
        VoicecloneError: the folder cannot be written.
    """
    if len(clips) < MIN_CLIPS:
        raise UsageError(f"{len(clips)} clips with a text are too few: give at least {MIN_CLIPS}, better 20")
    held_out = held_out_places(len(clips))
    for split in SPLITS:
        shutil.rmtree(folder / split, ignore_errors=True)
    rows: dict[str, list[dict[str, str]]] = {split: [] for split in SPLITS}
    for place, (path, text) in enumerate(clips):
        split = "validation" if place in held_out else "train"
        with atomic_path(folder / split / path.name) as temporary:
            shutil.copyfile(path, temporary)
        rows[split].append({"file_name": path.name, "text": text})
    for split, found in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        write_text(folder / split / METADATA, lines)
    return folder


def held_out_places(count: int) -> frozenset[int]:
    """Indices of the validation clips among ``count`` clips.

    A tenth of the clips, at least one; at least three where there are twelve clips or more.
    """
    chosen = max(1, round(VALIDATION_SHARE * count), min(3, count // 4))
    return frozenset(count * (2 * place + 1) // (2 * chosen) for place in range(chosen))


def _of_metadata(path: Path) -> dict[str, str]:
    try:
        return {
            PureWindowsPath(listed.row["file_name"].strip()).name: listed.row["text"] for listed in read_listing(path)
        }
    except VoicecloneError as error:
        raise UsageError(str(error).replace(str(path), path.name)) from error


def _read(path: Path) -> str:
    try:
        return read_text(path, table=False)
    except VoicecloneError as error:
        raise UsageError(str(error).replace(str(path), path.name)) from error
