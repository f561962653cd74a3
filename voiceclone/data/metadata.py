"""Which clips a dataset folder lists, in the layouts people have.

``metadata.jsonl`` (one ``{"file_name": ..., "text": ...}`` a line) and ``metadata.csv`` with the same columns are the
AudioFolder layout; a ``metadata.csv`` without a header, ``id|text|normalised text`` beside ``wavs/``, is LJSpeech's.
Nothing here opens an audio file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from voiceclone.errors import UsageError, VoicecloneError

METADATA_NAMES = ("metadata.jsonl", "metadata.csv")
SPLITS = ("train", "validation")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip as the metadata lists it."""

    name: str
    """``file_name`` as written: relative to the metadata file."""
    text: str
    """Transcript, outer whitespace removed; may be empty."""
    path: Path
    """Resolved, inside the dataset folder; may not exist."""
    split: str
    """``train`` or ``validation``."""
    speaker: str | None = None


def read_dataset(root: Path | str) -> dict[str, list[Entry]]:
    """The clips listed in a dataset folder, by split; ``validation`` is empty where the folder has none.

    Raises:
        UsageError: there is no such folder, or it holds no metadata.
        VoicecloneError: the metadata is malformed (the message names file and line), or a file lies outside ``root``.
    """
    root = Path(root)
    try:
        if not root.is_dir():
            raise UsageError(f"{root}: no such dataset folder: give the folder that holds train/metadata.jsonl")
        train = _metadata_in(root / "train") or _metadata_in(root)
        validation = _metadata_in(root / "validation")
    except (OSError, ValueError) as error:
        if isinstance(error, VoicecloneError):
            raise
        raise UsageError(f"{root}: cannot be read ({error}): give another dataset folder") from error
    if train is None:
        raise UsageError(f"{root}: holds neither train/metadata.jsonl nor metadata.jsonl: add one, a clip a line")
    entries = {"train": read_metadata(train, root, "train"), "validation": []}
    if not entries["train"]:
        raise VoicecloneError(f"{train}: lists no clips: add one line a clip")
    if validation is not None:
        entries["validation"] = read_metadata(validation, root, "validation")
    return entries


def read_metadata(path: Path, root: Path, split: str) -> list[Entry]:
    """Read one metadata file; see the module's docstring for the layouts.

    Args:
        root: the folder that no ``file_name`` may leave.

    Raises:
        VoicecloneError: malformed or not UTF-8, or a file outside ``root``; the message names file and line.
    """
    content = _decode(path)
    if path.suffix == ".jsonl":
        rows = _rows_of_jsonl(path, content)
    elif _has_header(content):
        rows = _rows_of_csv(path, content)
    else:
        rows = _rows_of_ljspeech(path, content)
    return [_entry(path, root, split, line, row) for line, row in rows]


def _metadata_in(folder: Path) -> Path | None:
    return next((folder / name for name in METADATA_NAMES if (folder / name).is_file()), None)


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VoicecloneError(f"{path}: cannot be read ({error.strerror or error}): check its permissions") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise VoicecloneError(f"{path} line {line}: is not UTF-8: save the file as UTF-8") from error


def _rows_of_jsonl(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines(): a JSON string may hold U+2028 and its like as they are.
    for line, text in enumerate(content.split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or "nested too deeply or a number too long"
            raise VoicecloneError(f"{path} line {line}: is not JSON ({reason}): correct that line") from error
        if not isinstance(row, dict):
            raise VoicecloneError(
                f'{path} line {line}: is not a JSON object: write {{"file_name": "a.wav", "text": "What is said."}}'
            )
        yield line, row


def _has_header(content: str) -> bool:
    first = content.lstrip().split("\n", 1)[0]
    return "file_name" in [column.strip().strip('"') for column in first.split(",")]


def _rows_of_csv(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(content.lstrip(), newline=""), strict=True)
    # Where blank lines came first, the reader counts from the header on.
    offset = content[: len(content) - len(content.lstrip())].count("\n")
    try:
        for row in reader:
            # Cells beyond the header come under the key None, cells that lack as the value None.
            yield (
                reader.line_num + offset,
                {key.strip(): value for key, value in row.items() if key and value is not None},
            )
    except csv.Error as error:
        line = reader.reader.line_num + offset
        raise VoicecloneError(f"{path} line {line}: is not CSV ({error}): correct that line") from error


def _rows_of_ljspeech(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(content.split("\n"), start=1):
        cells = [cell.strip() for cell in text.split("|")]
        if cells == [""]:
            continue
        if len(cells) < 2:
            raise VoicecloneError(
                f"{path} line {line}: has neither the columns file_name,text nor id|text: correct that line"
            )
        name = cells[0] if Path(cells[0]).suffix else cells[0] + ".wav"
        yield line, {"file_name": f"wavs/{name}", "text": cells[2] if len(cells) > 2 and cells[2] else cells[1]}


def _entry(path: Path, root: Path, split: str, line: int, row: dict[str, Any]) -> Entry:
    for key in ("file_name", "text"):
        if key not in row:
            raise VoicecloneError(f'{path} line {line}: has no "{key}": add it')
        if not isinstance(row[key], str):
            raise VoicecloneError(f'{path} line {line}: "{key}" is not a string: put it in quotes')
        if any("\ud800" <= character <= "\udfff" for character in row[key]):
            raise VoicecloneError(f'{path} line {line}: "{key}" holds half a surrogate pair: write it in UTF-8')
    name = row["file_name"]
    speaker = row.get("speaker", row.get("speaker_id"))
    speaker = str(speaker) if isinstance(speaker, str | int) else None
    return Entry(
        name=name,
        text=row["text"].strip(),
        path=_inside(path, root, line, name),
        split=split,
        speaker=speaker,
    )


def _inside(path: Path, root: Path, line: int, name: str) -> Path:
    """The file that ``name`` means; refused where it leaves ``root``, through symbolic links too."""
    where = f"{path} line {line}: file_name {name[:80]!r}"
    if not name.strip() or "\0" in name:
        raise VoicecloneError(f"{where} names no file: give a path relative to the metadata file")
    if Path(name).is_absolute() or PureWindowsPath(name).drive or name.startswith(("/", "\\")):
        raise VoicecloneError(f"{where} is absolute: give a path relative to the metadata file")
    try:
        target = (path.parent / name).resolve()
        inside = target.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise VoicecloneError(f"{where} cannot be resolved ({type(error).__name__}): correct the path") from error
    if not inside:
        raise VoicecloneError(f"{where} leaves the dataset folder {root}: copy the file into it")
    return target
