"""Reading the list of clips of a dataset folder, in all supported layouts.

``metadata.jsonl`` (one ``{"file_name": ..., "text": ...}`` a line) and a table with such columns are the AudioFolder
layout; a table without a header, ``id|text|normalised text`` beside ``wavs/``, is LJSpeech's. Every command
reads datasets through this module, so that all of them get the same transcripts. No audio file is opened here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.audio.io import AUDIO_SUFFIXES
from voiceclone.data.columns import columns_by_content, columns_by_role, is_header
from voiceclone.data.places import Places
from voiceclone.data.tables import (
    SEPARATORS,
    Rows,
    first_line,
    read_text,
    split_rows,
    unquoted,
    without_empty_end,
    without_separator_line,
)
from voiceclone.errors import UsageError, VoicecloneError

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.tsv", "metadata.txt")
SPLITS = ("train", "validation")
_FILE_THEN_COMMA = re.compile(
    rf'\s*"?[^,;|\t"]*({"|".join(re.escape(suffix) for suffix in AUDIO_SUFFIXES)})"?\s*([,;])', re.I
)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One row of a metadata file, before the clip's path is resolved."""

    line: int
    row: dict[str, Any]
    """``file_name`` and ``text`` (strings), and further columns."""
    bare: bool = False
    """``file_name`` is an id as in LJSpeech."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One clip as the metadata lists it."""

    name: str
    """``file_name`` relative to the metadata file; spelled as in the file system if the file exists."""
    text: str
    """Transcript, outer whitespace removed; may be empty."""
    path: Path
    """Resolved, inside the dataset folder; may not exist."""
    split: str
    """``train`` or ``validation``."""
    speaker: str | None = None
    phonemes: str | None = None
    """Content of a column ``phonemes``, for training a base."""
    durations: Any = None
    """Content of a column ``durations``, unchecked."""
    where: str = ""
    """Metadata file and line, for messages."""


def read_dataset(root: Path | str) -> dict[str, list[Entry]]:
    """The clips listed in a dataset folder, by split; ``validation`` is empty if the folder has none.

    Raises:
        UsageError: there is no such folder, or it holds no metadata.
        VoicecloneError: the metadata is malformed (the message names file and line), or a file lies outside ``root``.
    """
    root = Path(root)
    train = _train_metadata(root)
    validation = _metadata_in(root / "validation")
    entries = {"train": read_metadata(train, root, "train"), "validation": []}
    if not entries["train"]:
        raise VoicecloneError(f"{train}: lists no clips: add one line a clip")
    if validation is not None:
        entries["validation"] = read_metadata(validation, root, "validation")
    return entries


def read_train(root: Path | str) -> list[Entry]:
    """The clips to train on in a dataset folder; raises as :func:`read_dataset` does."""
    return read_metadata(_train_metadata(Path(root)), Path(root), "train")


def read_metadata(path: Path, root: Path, split: str) -> list[Entry]:
    """Read one metadata file; see the module's docstring for the layouts.

    Args:
        root: the folder that no ``file_name`` may leave.

    Raises:
        VoicecloneError: malformed or in an unknown encoding, or a file outside ``root``; the message names file and
            line.
    """
    rows = list(read_listing(path))
    places = Places(path, root, (listed.row["file_name"] for listed in rows))
    return [_entry(path, places, split, listed) for listed in rows]


def read_listing(path: Path) -> Iterator[Listed]:
    """The rows of a metadata file.

    Raises:
        VoicecloneError: malformed or in an unknown encoding; the message names file and line.
    """
    content = read_text(path)
    if path.suffix.lower() == ".jsonl":
        rows = _rows_of_jsonl(path, content)
    else:
        rows = _rows_of_table(path, without_separator_line(content))
    for listed in rows:
        for key in ("file_name", "text"):
            where, value = f"{path} line {listed.line}", listed.row.get(key)
            if key not in listed.row:
                raise VoicecloneError(f'{where}: has no "{key}": add it')
            if not isinstance(value, str):
                raise VoicecloneError(f'{where}: "{key}" is not a string: put it in quotes')
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise VoicecloneError(f'{where}: "{key}" holds half a surrogate pair: write it in UTF-8')
        yield listed


def _train_metadata(root: Path) -> Path:
    try:
        if not root.is_dir():
            raise UsageError(f"{root}: no such dataset folder: give the folder that holds train/metadata.jsonl")
        train = _metadata_in(root / "train") or _metadata_in(root)
    except (OSError, ValueError) as error:
        if isinstance(error, VoicecloneError):
            raise
        raise UsageError(f"{root}: cannot be read ({error}): give another dataset folder") from error
    if train is None:
        raise UsageError(f"{root}: holds neither train/metadata.jsonl nor metadata.jsonl: add one, a clip a line")
    return train


def _metadata_in(folder: Path) -> Path | None:
    return next((folder / name for name in METADATA_NAMES if (folder / name).is_file()), None)


def _rows_of_jsonl(path: Path, content: str) -> Iterator[Listed]:
    # Not splitlines(): a JSON string may contain U+2028 and similar characters.
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
        yield Listed(line=line, row={**row, **{role: row[name] for role, name in columns_by_role(row).items()}})


def _rows_of_table(path: Path, content: str) -> Iterator[Listed]:
    first = first_line(content)
    for separator in SEPARATORS:
        if is_header(first.split(separator)):
            return _rows_under_header(path, split_rows(path, content, separator), separator, '"' in content)
    comma = _FILE_THEN_COMMA.match(first)
    bars = [mark for mark in ("|", "\t") if mark in first]
    separator = comma[2] if comma else min(bars, key=first.index) if bars else "|"
    return _rows_without_header(path, split_rows(path, content, separator), separator)


def _rows_under_header(path: Path, rows: Rows, separator: str, quotes: bool) -> Iterator[Listed]:
    """Rows of a table whose first row names the columns."""
    line, header = rows[0][0], [name.strip() for name in rows[0][1]]
    empty = len(header) - len(without_empty_end(header, len(header)))
    header = header[: len(header) - empty]
    roles: dict[str, int] = {}
    for role, name in columns_by_role(header).items():
        if header.count(name) > 1:
            raise VoicecloneError(f"{path} line {line}: a column '{name}' occurs twice: rename one")
        roles[role] = header.index(name)
    for role in ("file_name", "text"):
        if role not in roles:
            raise VoicecloneError(f'{path} line {line}: has no "{role}": call the column so')
    others = {name: at for at, name in enumerate(header) if name == "phonemes"}
    follows = roles["text"] + 1
    for line, cells in rows[1:]:
        cells = _fitted(without_empty_end(cells, empty), len(header), roles["text"], separator, f"{path} line {line}")
        # A space only after the separator behind the text: that is a comma of the text, and a cell is missing.
        if not quotes and len(cells) > follows and cells[follows][:1] == " " != cells[follows - 1][:1]:
            raise VoicecloneError(
                f"{path} line {line}: {cells[follows][:40]!r} under '{header[follows]}' begins with a space: put text "
                f"that holds {separator!r} into quotes"
            )
        if separator in ("|", "\t"):
            cells = [unquoted(cell) for cell in cells]
        filled = {role: cells[at] for role, at in {**others, **roles}.items() if at < len(cells)}
        yield Listed(line=line, row=filled)


def _fitted(cells: list[str], width: int, text: int, separator: str, where: str) -> list[str]:
    """A row of at most ``width`` cells: additional cells belong to the text if it is the last column."""
    if len(cells) <= width:
        return cells
    if text == width - 1:
        return [*cells[:text], separator.join(cells[text:])]
    if len(left := without_empty_end(cells, len(cells) - width)) <= width:
        return left
    raise VoicecloneError(
        f"{where}: {len(cells)} cells under {width} columns: put text that holds {separator!r} into quotes"
    )


def _rows_without_header(path: Path, rows: Rows, separator: str) -> Iterator[Listed]:
    """Rows of ``id|text`` with possible further columns: see :func:`columns_by_content`."""
    for line, cells in rows:
        if len(cells) < 2:
            raise VoicecloneError(
                f"{path} line {line}: has neither the columns file_name,text nor id|text: correct that line"
            )
    if not rows:
        return
    if separator in (",", ";") and len({len(cells) for _, cells in rows}) > 1:
        rows = [(line, [cells[0], separator.join(cells[1:])]) for line, cells in rows]
    if separator == "\t":
        rows = [(line, [unquoted(cell) for cell in cells]) for line, cells in rows]
    columns = columns_by_content([[cell.strip() for cell in cells] for _, cells in rows])
    if isinstance(columns, int):
        line, cells = next((n, cells) for n, cells in rows if len(cells) > columns and cells[columns].strip())
        raise VoicecloneError(
            f"{path} line {line}: {cells[columns].strip()[:40]!r} in column {columns + 1} may be the text, or not: "
            "write a first line such as file_name|text|speaker"
        )
    for line, cells in rows:
        said = [cells[at].strip() for at in (columns.normalised, columns.text) if at is not None and at < len(cells)]
        row = {"file_name": cells[0].strip(), "text": next(filter(None, said), "")}
        if columns.speaker is not None and columns.speaker < len(cells):
            row["speaker"] = cells[columns.speaker].strip()
        yield Listed(line=line, row=row, bare=True)


def _entry(path: Path, places: Places, split: str, listed: Listed) -> Entry:
    row = listed.row
    name, target = places.find(row["file_name"], listed.line, bare=listed.bare)
    speaker, phonemes = row.get("speaker"), row.get("phonemes")
    return Entry(
        name=name,
        text=row["text"].strip(),
        path=target,
        split=split,
        speaker=str(speaker) if isinstance(speaker, str | int) else None,
        phonemes=phonemes if isinstance(phonemes, str) else None,
        durations=row.get("durations"),
        where=f"{path} line {listed.line}",
    )
