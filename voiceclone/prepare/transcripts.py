"""Text files: decoded, cleaned, and matched with their recordings."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from voiceclone.data.recordings import Part, Script
from voiceclone.data.tables import decode_text
from voiceclone.errors import UsageError, VoicecloneError

MAX_BYTES = 20_000_000  # about 400 hours of speech
_WRAPPED = range(45, 110)  # length in characters of a line that an editor has wrapped


def read_transcript(path: Path) -> str:
    """A text file as clean text; encodings: see :func:`voiceclone.data.tables.decode_text`.

    Raises:
        UsageError: there is no such file.
        VoicecloneError: it is too large or no text.
    """
    try:
        if not path.is_file():
            raise UsageError(f"{path}: no such text file: correct the path")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise VoicecloneError(f"{path}: {size / 1e6:.0f} MB are not a transcript: give the text of the recording")
        content = path.read_bytes()
    except OSError as error:
        raise VoicecloneError(f"{path}: cannot be read ({error.strerror or error}): check its permissions") from error
    return clean(decode_text(content, path, table=False))


def clean(text: str) -> str:
    """One kind of line end, composed characters, no control characters, no repeated blanks."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n"))
    kept = (
        character if character == "\n" or unicodedata.category(character)[0] != "C" else " " * (character == "\t")
        for character in text
    )
    return re.sub(r"[^\S\n]+", " ", "".join(kept))


def running_text(text: str) -> str:
    """Text with wrapped lines joined to one line per paragraph; other text is unchanged."""
    lines = [line.strip() for line in text.split("\n")]
    full = [line for line, following in zip(lines, lines[1:]) if line and following]
    broken = [line for line in full if line[-1] not in ".!?…:;\"”’'»)"]
    if len(full) < 3 or len(broken) < 0.5 * len(full) or sum(len(line) in _WRAPPED for line in full) < 0.8 * len(full):
        return text
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines))
    return "\n\n".join(re.sub(r"\s*\n\s*", " ", paragraph) for paragraph in paragraphs)


def script_of_text(path: Path, recordings: list[Path]) -> Script:
    """The script in a text file or a folder of them.

    A folder holds ``NAME.txt`` for each recording ``NAME``. A file with as many lines as there are
    recordings (more than one) has one line for each, in the order of their names; any other file is one running text.

    Raises:
        UsageError: there is no such file, or nothing in it.
        VoicecloneError: it cannot be read.
    """
    if path.is_dir():
        return _script_of_folder(path, recordings)
    text = read_transcript(path)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise UsageError(f"{path}: holds no text: give the text of the recording")
    if len(recordings) > 1 and len(lines) == len(recordings):
        parts = (
            Part(recording=index, text=line, name=f"{path.name} line {index + 1}") for index, line in enumerate(lines)
        )
        return Script(parts=tuple(parts), ready_cut=True)
    return Script(running=running_text(text))


def _script_of_folder(folder: Path, recordings: list[Path]) -> Script:
    parts, problems = [], []
    for index, recording in enumerate(recordings):
        path = folder / f"{recording.stem}.txt"
        if not path.is_file():
            problems.append((recording.name, f"no transcript: there is no {path}"))
            continue
        text = running_text(read_transcript(path)).strip()
        if text:
            parts.append(Part(recording=index, text=text, name=path.name))
        else:
            problems.append((recording.name, f"no transcript: {path} is empty"))
    if not parts:
        raise UsageError(f"{folder}: holds no NAME.txt for any of the recordings: name the files after them")
    return Script(parts=tuple(parts), ready_cut=True, problems=tuple(problems))
