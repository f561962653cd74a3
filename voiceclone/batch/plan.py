"""The table of voices: one row a voice, read and checked before anything is cloned."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from voiceclone.config import CloneConfig, merge
from voiceclone.errors import UsageError

REQUIRED = ("name", "data")
_NOT_IN_TABLE = ("out", "resume", "overwrite", "config")  # of the whole batch, not of one voice
_NUMBERS = {"int": int, "float": float}
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One voice of the table."""

    line: int  # in the file, from 1
    config: CloneConfig


def read_table(path: Path, flags: Mapping[str, Any], file: Mapping[str, Any]) -> list[Row]:
    """Read a CSV file with a header; a cell wins over the command's flag, the flag over the config file.

    ``data`` is relative to the table's folder. Empty cells say nothing.

    Raises:
        UsageError: the file cannot be read, a column is unknown or missing, a value is wrong, two voices share a name.
    """
    rows: list[Row] = []
    lines: dict[str, int] = {}
    for line, cells in _cells(path):
        where = f"{path}, line {line}"
        for column in REQUIRED:
            if not cells.get(column):
                raise UsageError(f"{where}: no {column}: every voice needs {' and '.join(REQUIRED)}")
        values = {name: _value(name, text, where) for name, text in cells.items() if text}
        values["data"] = str(path.parent / values["data"])
        try:
            config = merge({**flags, **values, "resume": "auto"}, file)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        if config.name in lines:
            raise UsageError(f"{where}: the name '{config.name}' stands in line {lines[config.name]}, too: change one")
        lines[config.name] = line
        rows.append(Row(line=line, config=config))
    if not rows:
        raise UsageError(f"{path}: no voices: write a header and a line for each voice")
    return rows


def _cells(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip().replace("-", "_") for name in next(reader, [])]
            _check_header(path, header)
            found = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise UsageError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells under {len(header)} columns: put "
                        'text that holds commas into "quotes"'
                    )
                found.append((reader.line_num, dict(zip(header, (cell.strip() for cell in cells)))))
            return found
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}: give a CSV file with the columns name,data") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text: save it as UTF-8") from error
    except csv.Error as error:
        raise UsageError(f"{path}: no valid CSV: {error}") from error


def _check_header(path: Path, header: list[str]) -> None:
    allowed = [field.name for field in fields(CloneConfig) if field.name not in _NOT_IN_TABLE]
    if missing := [name for name in REQUIRED if name not in header]:
        raise UsageError(f"{path}, line 1: no column '{missing[0]}': the header needs name,data")
    if unknown := [name for name in header if name not in allowed]:
        raise UsageError(f"{path}, line 1: unknown column '{unknown[0]}': use {', '.join(allowed)}")
    if len(set(header)) < len(header):
        raise UsageError(f"{path}, line 1: a column stands there twice: remove one")


def _value(name: str, text: str, where: str) -> Any:
    kind = str(CloneConfig.__annotations__[name])
    try:
        if kind == "bool":
            return _WORDS[text.lower()]
        return _NUMBERS.get(kind, str)(text)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{where}: {name} '{text}': {'yes or no' if kind == 'bool' else kind} expected") from error
