"""The table of voices, one row for each voice. It is read and checked before any voice is cloned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from voiceclone.cloning.config import CloneConfig, merge
from voiceclone.data.tables import (
    SEPARATORS,
    first_line,
    read_text,
    split_rows,
    without_empty_end,
    without_separator_line,
)
from voiceclone.errors import UsageError, VoicecloneError

REQUIRED = ("name", "data")
_NOT_IN_TABLE = ("out", "resume", "overwrite", "config")  # settings of the whole batch, not of one voice
_NUMBERS = {"int": int, "int | None": int, "float": float, "float | None": float}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """One voice of the table."""

    line: int  # line in the file, from 1
    config: CloneConfig


def read_table(path: Path, flags: Mapping[str, Any], file: Mapping[str, Any]) -> list[BatchRow]:
    """Read a table with a header row: CSV, or separated by semicolons, tabs or bars.

    A cell takes precedence over the command's flag, and the flag over the config file. Empty cells are ignored.
    ``data`` is relative to the table's folder.

    Args:
        path: the table.
        flags: settings from the command line.
        file: settings from the config file.

    Raises:
        UsageError: the file cannot be read, a column is unknown or missing, a value is wrong, or two voices share a
            name.
    """
    rows: list[BatchRow] = []
    lines: dict[str, int] = {}
    for line, cells in _cells(path):
        where = f"{path} line {line}"
        for column in REQUIRED:
            if not cells.get(column):
                raise UsageError(f"{where}: no {column}: every voice needs {' and '.join(REQUIRED)}")
        values = {name: _value(name, text, where) for name, text in cells.items() if text}
        values["data"] = str(_folder(path.parent, values["data"]))
        try:
            config = merge({**flags, **values, "resume": "auto"}, file)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        if config.name in lines:
            raise UsageError(f"{where}: the name '{config.name}' is also in line {lines[config.name]}: change one")
        lines[config.name] = line
        rows.append(BatchRow(line=line, config=config))
    if not rows:
        raise UsageError(f"{path}: no voices: write a header and a line for each voice")
    return rows


def check_rows(path: Path, rows: Sequence[BatchRow]) -> None:
    """Check all rows for errors before the first voice is cloned. The data of a finished voice may be missing.

    Raises:
        UsageError: for the first invalid row; the message gives its line.
    """
    from voiceclone.cloning.api import check_settings
    from voiceclone.cloning.folder import RunFolder
    from voiceclone.data.metadata import read_dataset

    for row in rows:
        try:
            check_settings(row.config)
            if row.config.overwrite or not RunFolder(row.config.folder).is_finished():
                read_dataset(row.config.data)
        except VoicecloneError as error:
            raise UsageError(f"{path} line {row.line}: {error}") from error


def _folder(beside: Path, name: str) -> Path:
    """The folder of the clips. A Windows path such as ``recordings\anna`` is converted where no such folder exists."""
    folder = beside / name.replace("\\", "/")
    return folder if folder.is_dir() and not (beside / name).is_dir() else beside / name


def _cells(path: Path) -> list[tuple[int, dict[str, str]]]:
    if not path.is_file():
        raise UsageError(f"{path}: no such file: give a CSV file with the columns name,data")
    try:
        text = without_separator_line(read_text(path))
        first = first_line(text)
        separator = next((mark for mark in SEPARATORS if len(set(_names(first.split(mark))) & set(REQUIRED)) > 1), ",")
        rows = split_rows(path, text, separator)
    except VoicecloneError as error:
        raise UsageError(str(error)) from error
    header = _names(rows[0][1]) if rows else []
    header = without_empty_end(header, len(header))
    _check_header(path, header)
    found = []
    for line, cells in rows[1:]:
        cells = without_empty_end(cells, len(cells) - len(header))
        if len(cells) != len(header):
            raise UsageError(
                f"{path} line {line}: {len(cells)} cells under {len(header)} columns: put text that holds "
                f"{separator!r} into quotes"
            )
        found.append((line, dict(zip(header, (cell.strip() for cell in cells)))))
    return found


def _names(cells: Sequence[str]) -> list[str]:
    return [cell.strip().strip('"').replace("-", "_") for cell in cells]


def _check_header(path: Path, header: list[str]) -> None:
    allowed = [field.name for field in fields(CloneConfig) if field.name not in _NOT_IN_TABLE]
    if missing := [name for name in REQUIRED if name not in header]:
        raise UsageError(f"{path} line 1: no column '{missing[0]}': the header needs name,data")
    if unknown := [name for name in header if name not in allowed]:
        raise UsageError(f"{path} line 1: unknown column '{unknown[0]}': use {', '.join(allowed)}")
    if len(set(header)) < len(header):
        raise UsageError(f"{path} line 1: a column occurs twice: remove one")


def _value(name: str, text: str, where: str) -> Any:
    kind = str(CloneConfig.__annotations__[name])
    try:
        if kind == "bool":
            return _WORDS[text.lower()]
        return _NUMBERS.get(kind, str)(text)
    except (KeyError, ValueError) as error:
        expected = "yes or no" if kind == "bool" else kind.split()[0]
        raise UsageError(f"{where}: {name} '{text}': {expected} expected") from error
