"""Transcripts in JSON with a time for every character, as written by text-to-speech services and aligners.

There are two formats. One is ``{"character_alignments": [{"char": "T", "start": 0.12, "end": 0.18}, ...]}``; ``end`` is
optional, and ``metadata`` may contain ``duration_seconds``. The other is ElevenLabs' ``{"characters": [...],
"character_start_times_seconds": [...], "character_end_times_seconds": [...]}``, at the top level or under
``alignment``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone.errors import VoicecloneError
from voiceclone.prepare.transcripts import read_transcript

LIST = "character_alignments"
ELEVENLABS = ("characters", "character_start_times_seconds", "character_end_times_seconds")
TOLERANCE = 0.02  # fraction of the recording's length by which times may exceed its end
MOST_SECONDS = 1e7  # four months; a longer time is none
DISORDER = 0.05  # seconds by which a character may start before the previous one
PAUSE = 0.6  # seconds between two words from which they are in different cues
LONGEST = 15.0  # maximum length in seconds of a cue without a sentence end
WIDE_ENDS = "。！？｡"  # sentence ends of scripts without blanks
ENDS = ".!?…" + WIDE_ENDS
ENDS_BEFORE_WIDE = "!?"  # sentence ends without a blank behind them, where such a script follows
CLOSING = '"”’)」』）】〉》〕］｣'
WIDE_COMMAS = "、，；：､"
_SMALL_KANA = "ーぁぃぅぇぉっゃゅょァィゥェォッャュョ"  # belong to the syllable before them
ATTACHED = ENDS + CLOSING + WIDE_COMMAS + "," + _SMALL_KANA  # no segment begins with one of them
# First and last characters of scripts without blanks and their punctuation: kana, bopomofo, ideographs, full width.
WIDE = (("\u3000", "\u312f"), ("\u31a0", "\u31ff"), ("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\uf900", "\ufaff"),
        ("\uff00", "\uff9f"), ("\U00020000", "\U0003ffff"))  # fmt: skip


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
    """Start, end and text of segments between sentence ends and pauses, in time linear in the number of characters.

    Text with blanks between its words ends at blanks only. Chinese and Japanese, which have none, end behind a sentence
    end, at a pause, and where a segment is longer than ``LONGEST``, then behind its last comma if it has one.
    """
    lines: list[tuple[float, float, str]] = []
    group = _Group()
    for one, following in zip(characters, _following_starts(characters)):
        if one.char.strip():
            while count := group.count_ended_by(one):
                lines.append(_line(group.members[:count]))
                group = _Group(group.members[count:])
        elif group.is_ended_by_blank(one, following):
            lines.append(_line(group.members))
            group = _Group()
            continue
        group.add(one)
    if group.spoken:
        lines.append(_line(group.members))
    return lines


def _following_starts(characters: Sequence[TimedCharacter]) -> list[float | None]:
    """For each character the start of the next one that is no blank, the character itself included; None at the end."""
    found: list[float | None] = []
    start: float | None = None
    for one in reversed(characters):
        start = one.start if one.char.strip() else start
        found.append(start)
    return found[::-1]


class _Group:
    """The characters of a segment that may go on."""

    def __init__(self, members: Sequence[TimedCharacter] = ()) -> None:
        self.members: list[TimedCharacter] = []
        self.spoken: list[TimedCharacter] = []
        """Those that are no blanks."""
        self._mark = ""  # the sentence end in the last place, or with nothing but closing quotes behind it
        self._after_comma = 0  # number of members up to the last comma of a script without blanks
        self._sounded = 0.0  # end of the last character that is no comma, in seconds
        for one in members:
            self.add(one)

    def add(self, one: TimedCharacter) -> None:
        """Add the next character."""
        self.members.append(one)
        if not (text := one.char.strip()):
            self._mark = ""
            return
        self.spoken.append(one)
        if text[-1] in WIDE_ENDS or text[-1] in ENDS_BEFORE_WIDE:
            self._mark = text[-1]
        elif text[-1] not in CLOSING:
            self._mark = ""
        if text[-1] in WIDE_COMMAS:
            self._after_comma = len(self.members)
        if text[-1] not in WIDE_COMMAS or len(self.spoken) == 1:
            self._sounded = one.end

    def is_ended_by_blank(self, blank: TimedCharacter, following: float | None) -> bool:
        """Whether the segment ends at a blank, after which the next character starts at ``following`` seconds."""
        spoken = self.spoken
        if not spoken:
            return False
        ended = spoken[-1].char in ENDS or (len(spoken) > 1 and spoken[-1].char in CLOSING and spoken[-2].char in ENDS)
        paused = following is not None and following - spoken[-1].end > PAUSE
        return ended or paused or blank.start - spoken[0].start > LONGEST

    def count_ended_by(self, one: TimedCharacter) -> int:
        """The number of members that the segment has if it ends before ``one``, which is no blank; 0 if it goes on."""
        before, after = self.members[-1].char.strip()[-1:] if self.members else "", one.char.strip()[0]
        if not before or after in ATTACHED:
            return 0
        if self._mark and (self._mark in WIDE_ENDS or _is_wide(after)):
            return len(self.members)
        if not (_is_wide(before) or _is_wide(after)):  # within a word
            return 0
        if one.start - self._sounded > PAUSE:
            return len(self.members)
        return (self._after_comma or len(self.members)) if one.start - self.spoken[0].start > LONGEST else 0


def _is_wide(character: str) -> bool:
    """Whether a character is of a script without blanks: Chinese or Japanese, with its punctuation."""
    return any(first <= character <= last for first, last in WIDE)


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
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= MOST_SECONDS:
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
