"""Transcripts in JSON with a time for every character, as written by text-to-speech services and aligners.

There are two formats. One is ``{"character_alignments": [{"char": "T", "start": 0.12, "end": 0.18}, ...]}``; ``end`` is
optional, and ``metadata`` may contain ``duration_seconds``. The other is ElevenLabs' ``{"characters": [...],
"character_start_times_seconds": [...], "character_end_times_seconds": [...]}``, at the top level or under
``alignment``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.errors import VoicecloneError
from voiceclone.prepare.transcripts import read_transcript

LIST = "character_alignments"
ELEVENLABS = ("characters", "character_start_times_seconds", "character_end_times_seconds")
TOLERANCE = 0.02  # fraction of the recording's length by which times may exceed its end
DISORDER = 0.05  # seconds by which a character may start before the previous one
PAUSE = 0.6  # seconds between two words from which they are in different cues
LONGEST = 15.0  # maximum length in seconds of a cue without a sentence end


@dataclass(frozen=True, kw_only=True)
class TimedCharacter:
    """A character with start and end in seconds."""

    char: str
    start: float
    end: float


def read_characters(path: Path, seconds: float | None = None) -> list[TimedCharacter]:
    """The characters of a file in order.

    Args:
        path: the file.
        seconds: length of the recording; None if unknown.

    Raises:
        UsageError: there is no such file.
        VoicecloneError: it is not such JSON, or times are not consistent; the message gives the entry.
    """
    text = read_transcript(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VoicecloneError(f"{path}: is not JSON ({error}): give the transcription as it was written") from error
    characters = _characters(content, path)
    if not any(one.char.strip() for one in characters):
        raise VoicecloneError(f"{path}: holds no characters with times: give {LIST}, or ElevenLabs' alignment")
    _check(characters, path, seconds)
    return characters


def timed_lines(characters: Sequence[TimedCharacter]) -> list[tuple[float, float, str]]:
    """Start, end and text of segments between sentence ends and pauses."""
    lines: list[tuple[float, float, str]] = []
    group: list[TimedCharacter] = []
    for index, one in enumerate(characters):
        spoken = [c for c in group if c.char.strip()]
        if spoken and not one.char.strip():
            following = next((c for c in characters[index:] if c.char.strip()), None)
            ended = spoken[-1].char in ".!?…" or (
                len(spoken) > 1 and spoken[-1].char in '"”’)' and spoken[-2].char in ".!?…"
            )
            paused = following is not None and following.start - spoken[-1].end > PAUSE
            if ended or paused or one.start - spoken[0].start > LONGEST:
                lines.append(_line(group))
                group = []
                continue
        group.append(one)
    if any(c.char.strip() for c in group):
        lines.append(_line(group))
    return lines


def _line(group: Sequence[TimedCharacter]) -> tuple[float, float, str]:
    spoken = [c for c in group if c.char.strip()]
    text = " ".join("".join(c.char for c in group).split())
    return spoken[0].start, max(spoken[-1].end, spoken[0].start + 0.05), text


def _characters(content: Any, path: Path) -> list[TimedCharacter]:
    if not isinstance(content, Mapping):
        raise VoicecloneError(f"{path}: must hold a JSON object: give {LIST}, or ElevenLabs' alignment")
    if LIST in content:
        return _of_list(content[LIST], path)
    for part in (content, content.get("alignment"), content.get("normalized_alignment")):
        if isinstance(part, Mapping) and ELEVENLABS[0] in part:
            return _of_columns(part, path)
    raise VoicecloneError(f"{path}: holds no characters with times: give {LIST}, or ElevenLabs' alignment")


def _of_list(entries: Any, path: Path) -> list[TimedCharacter]:
    if not isinstance(entries, list):
        raise VoicecloneError(f"{path}: {LIST} is not a list: give one entry a character")
    starts: list[float] = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("char"), str):
            raise VoicecloneError(f"{path}: entry {number} of {LIST} has no char: correct it")
        starts.append(_time(entry.get("start"), number, "start", path))
    found = []
    for number, entry in enumerate(entries, 1):
        following = max(starts[min(number, len(starts) - 1)], starts[number - 1])
        end = following if entry.get("end") is None else _time(entry["end"], number, "end", path)
        found.append(TimedCharacter(char=entry["char"], start=starts[number - 1], end=end))
    return found


def _of_columns(part: Mapping[str, Any], path: Path) -> list[TimedCharacter]:
    columns = [part.get(name) for name in ELEVENLABS]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) != 1:  # type: ignore[arg-type]
        raise VoicecloneError(f"{path}: {', '.join(ELEVENLABS)} must be lists of one length: correct them")
    found = []
    for number, (char, start, end) in enumerate(zip(*columns, strict=True), 1):
        if not isinstance(char, str):
            raise VoicecloneError(f"{path}: entry {number} of {ELEVENLABS[0]} has no char: correct it")
        found.append(
            TimedCharacter(char=char, start=_time(start, number, "start", path), end=_time(end, number, "end", path))
        )
    return found


def _time(value: Any, number: int, name: str, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise VoicecloneError(
            f"{path}: entry {number}: {name} {str(value)[:40]!r} is not a time in seconds: correct it"
        )
    return float(value)


def _check(characters: Sequence[TimedCharacter], path: Path, seconds: float | None) -> None:
    before = 0.0
    for number, one in enumerate(characters, 1):
        if one.start < before - DISORDER:
            raise VoicecloneError(
                f"{path}: entry {number} ({one.char!r}) starts at {one.start:.2f} s, before the previous one"
                f" ({before:.2f} s): correct the times"
            )
        if one.end < one.start - DISORDER:
            raise VoicecloneError(
                f"{path}: entry {number} ({one.char!r}) ends at {one.end:.2f} s, before it starts: correct the times"
            )
        before = max(before, one.start)
    if seconds is not None:
        _check_lateness(characters, path, seconds)


def _check_lateness(characters: Sequence[TimedCharacter], path: Path, seconds: float) -> None:
    """Starts before ends, because an end that is missing in the file is the start of the next entry."""
    for name in ("start", "end"):
        for number, one in enumerate(characters, 1):
            if (time := getattr(one, name)) > seconds * (1 + TOLERANCE):
                raise VoicecloneError(
                    f"{path}: entry {number} ({one.char!r}) {name}s at {time:.2f} s, after the end of the recording"
                    f" ({seconds:.2f} s): do they belong together?"
                )
