"""Text tables in UTF-8 or UTF-16, separated by bars, tabs, commas or semicolons."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

from voiceclone.audio.io import AUDIO_SUFFIXES
from voiceclone.errors import VoicecloneError

SEPARATORS = ("|", "\t", ";", ",")
_QUOTING = (",", ";")  # with these separators, quotes follow the rules of CSV
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

Rows = list[tuple[int, list[str]]]
"""(line in the file from 1, cells); for a row of several lines, the number of the last."""


def read_text(path: Path, *, table: bool = True) -> str:
    """The text of a file, see :func:`decode_text`.

    Raises:
        VoicecloneError: it cannot be read, or is in another encoding; the message names file and line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VoicecloneError(f"{path}: cannot be read ({error.strerror or error}): check its permissions") from error
    return decode_text(content, path, table=table)


def decode_text(content: bytes, path: Path, *, table: bool = True) -> str:
    """Decode UTF-8, or UTF-16 as spreadsheets and editors on Windows write it.

    Args:
        table: UTF-16 must look like a table; otherwise a byte order mark is enough.

    Returns:
        the text without byte order mark; lines end in ``\\n`` or ``\\r\\n``.

    Raises:
        VoicecloneError: it is in another encoding; the message names file and line.
    """
    text = _utf16(content, table)
    if text is None:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise VoicecloneError(f"{path} line {line}: is not UTF-8: save the file as UTF-8") from error
    # Old Macs end lines with \r.
    return text if "\n" in text else text.replace("\r", "\n")


def split_rows(path: Path, text: str, separator: str) -> Rows:
    """The rows of a table that are not blank. White space around cells between bars or tabs is removed.

    Raises:
        VoicecloneError: a quote is not closed, or closed too late; the message names file and line.
    """
    if separator not in _QUOTING:
        cells = ([cell.strip() for cell in line.split(separator)] for line in text.split("\n"))
        return [(number, row) for number, row in enumerate(cells, start=1) if any(row) or len(row) > 1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: Rows = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if any(_holds_a_row(cell, row[0], separator) for cell in row):
                raise VoicecloneError(
                    f"{path} line {reader.line_num}: a cell in quotes holds another row: close the quote before it"
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise VoicecloneError(f"{path} line {reader.line_num}: is not CSV ({error}): correct that line") from error
    return rows


def first_line(text: str) -> str:
    """The first line that is not blank, or ""."""
    return next((line for line in text.split("\n") if line.strip()), "")


def without_separator_line(text: str) -> str:
    """``text`` with Excel's first line ``sep=;`` made blank, so that lines keep their numbers."""
    return re.sub(r"\A\s*\"?sep=[|;,\t]\"?[ \t\r]*(?=\n|\Z)", "", text, flags=re.I)


def without_empty_end(cells: list[str], most: int) -> list[str]:
    """The row without up to ``most`` empty cells at its end, as spreadsheets write them."""
    end = len(cells)
    while end > len(cells) - most and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def unquoted(cell: str) -> str:
    """A cell between bars or tabs without the quotes that a CSV writer put around it; those inside were doubled."""
    inner = cell[1:-1]
    if len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _utf16(content: bytes, table: bool) -> str | None:
    """The text if the bytes are UTF-16, with a byte order mark or (as some programs write it) without."""
    marked = _UTF16.get(content[:2])
    encoding = marked
    if encoding is None:
        # Tables are mostly ASCII, of which every second byte is zero in UTF-16.
        head = content[:4096]
        share = [head[at::2].count(0) / max(len(head[at::2]), 1) for at in (0, 1)]
        for name, zeros, others in (("utf-16-be", share[0], share[1]), ("utf-16-le", share[1], share[0])):
            if zeros > 0.4 > 4 * others:
                encoding = name
    if encoding is None:
        return None
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    return text if (marked and not table) or any(mark in text for mark in (*SEPARATORS, ":")) else None


def _holds_a_row(cell: str, first: str, separator: str) -> bool:
    """Whether a cell of several lines contains other rows because a quote was not closed."""
    for line in cell.split("\n")[1:]:
        begins, mark, _ = line.partition(separator)
        begins = begins.strip()
        if mark and begins and (begins.lower().endswith(AUDIO_SUFFIXES) or _shape(begins) == _shape(first)):
            return True
    return False


def _shape(name: str) -> str:
    """A name with its digits replaced: names of clips in one folder often differ only in numbers."""
    return re.sub(r"\d+", "0", name.strip())
