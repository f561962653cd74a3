"""Subtitles (SubRip, WebVTT, JSON of timed characters) as text with times.

Broken cues are skipped with a reason; broken JSON is refused.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceclone.audio.io import probe
from voiceclone.data.recordings import Part, Script
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.prepare.character_json import read_characters, timed_lines
from voiceclone.prepare.transcripts import read_transcript

CHARACTERS = ".json"
SUFFIXES = (".srt", ".vtt", CHARACTERS)
LONGEST_CUE = 60.0  # seconds; longer ones have a wrong time
PART_SECONDS = 45.0  # approximate length of cues that are aligned together
SEPARATE = 1.0  # seconds without a cue that separate two parts
SLACK = 0.5  # seconds; tolerance of the times of cues
# -00:00:01,000 and 00:01.5 occur; anything else than three decimals is read as a fraction.
_TIME = r"-?(?:\d{1,4}:)?\d{1,3}:\d{1,3}(?:[.,]\d{1,9})?"
_TIMES = re.compile(rf"^\s*({_TIME})\s*--+>\s*({_TIME})(?:\s.*)?$")
_MARKUP = re.compile(r"<[^<>]{0,200}>|\{\\[^{}]{0,200}\}")
_ASIDE = re.compile(r"\[[^\[\]]{0,200}\]|\([^()a-z]{0,200}\)|[♪♫#]{1,3}[^♪♫]{0,300}[♪♫]{1,3}|[♪♫]")
_SPEAKER = re.compile(r"^(?:-\s*)?(?:>>\s*)?[A-Z][A-Z .'-]{1,25}:\s+|^(?:-|>>)\s*")


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One subtitle."""

    start: float
    """Seconds."""
    end: float
    text: str
    """The spoken text, in one line."""


def read_subtitles(path: Path, seconds: float | None = None) -> tuple[list[Cue], list[tuple[str, str]]]:
    """The cues of a file in order of time, and what was skipped: (where, why).

    Args:
        seconds: length of the recording, which the times in JSON must fit; None: not known.

    Raises:
        UsageError: there is no such file.
        VoicecloneError: it is no text, or JSON whose times do not fit.
    """
    if path.suffix.lower() == CHARACTERS:
        lines = timed_lines(read_characters(path, seconds))
        cues = [Cue(start=start, end=end, text=text) for start, end, text in lines if any(c.isalnum() for c in text)]
        problems: list[tuple[str, str]] = []
        return _without_overlap(cues, path.name, problems), problems
    return parse_subtitles(read_transcript(path), path.name)


def parse_subtitles(text: str, name: str) -> tuple[list[Cue], list[tuple[str, str]]]:
    """As :func:`read_subtitles`, of the file's text."""
    cues, problems = [], []
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        if "-->" not in line:
            continue
        where, spoken = f"{name} line {index}", []
        while index < len(lines) and lines[index].strip() and "-->" not in lines[index]:
            spoken.append(lines[index])
            index += 1
        if index < len(lines) and "-->" in lines[index] and spoken and spoken[-1].strip().isdigit():
            spoken.pop()  # the number of the next cue, if the blank line between them is missing
        cue = _cue(line, spoken)
        if isinstance(cue, Cue):
            cues.append(cue)
        elif cue:
            problems.append((where, cue))
    cues.sort(key=lambda cue: (cue.start, cue.end))
    return _without_overlap(cues, name, problems), problems


def script_of_subtitles(path: Path, recordings: list[Path]) -> Script:
    """The script in a subtitle file for one recording, or in a folder of ``NAME.srt``, ``.vtt`` or ``.json``.

    Raises:
        UsageError: there is no such file, or one file and several recordings.
        VoicecloneError: nothing in it can be used.
    """
    if path.is_dir():
        files = [_beside(path, recording) for recording in recordings]
    elif len(recordings) > 1:
        raise UsageError(f"--subtitles {path}: one file for {len(recordings)} recordings: give a folder of NAME.srt")
    else:
        files = [path]
    parts: list[Part] = []
    problems: list[tuple[str, str]] = []
    for index, file in enumerate(files):
        if file is None:
            problems.append((recordings[index].name, f"no subtitles: none named after it in {path}"))
            continue
        seconds = probe(recordings[index]).seconds if file.suffix.lower() == CHARACTERS else None
        cues, broken = read_subtitles(file, seconds)
        problems += broken
        parts += parts_of_cues(cues, index, file.name)
    if not parts:
        first = f" (first: {problems[0][0]}: {problems[0][1]})" if problems else ""
        raise VoicecloneError(f"{path}: holds no subtitle that can be used{first}: give an SRT or WebVTT file")
    return Script(parts=tuple(parts), problems=tuple(problems))


def parts_of_cues(cues: Sequence[Cue], recording: int, name: str) -> list[Part]:
    """Cues in groups that are long enough for a good alignment, each with the audio around it."""
    groups: list[list[Cue]] = []
    for cue in cues:
        last = groups[-1] if groups else None
        if last and cue.start - last[-1].end < SEPARATE and cue.end - last[0].start <= PART_SECONDS:
            last.append(cue)
        else:
            groups.append([cue])
    parts = []
    for index, group in enumerate(groups):
        before = groups[index - 1][-1].end if index else -SLACK
        after = groups[index + 1][0].start if index + 1 < len(groups) else group[-1].end + 2 * SLACK
        parts.append(
            Part(
                recording=recording,
                text="\n".join(cue.text for cue in group),
                start=max(0.0, group[0].start - min(SLACK, 0.5 * max(0.0, group[0].start - before))),
                end=group[-1].end + min(SLACK, 0.5 * max(0.0, after - group[-1].end)),
                name=name,
                cues=tuple((cue.start, cue.end, cue.text) for cue in group),
            )
        )
    return parts


def spoken_text(lines: Sequence[str]) -> str:
    """The spoken text of a subtitle, without markup, sounds in brackets and names of speakers."""
    kept = []
    for line in lines:
        line = html.unescape(_MARKUP.sub("", line))
        line = _SPEAKER.sub("", _ASIDE.sub(" ", line).strip())
        kept.append(line.strip())
    return " ".join(" ".join(kept).split())


def _cue(line: str, spoken: list[str]) -> Cue | str | None:
    """A cue, or the reason why it is none; None if it is empty."""
    times = _TIMES.match(line)
    if not times:
        return f"no time: {' '.join(line.split())[:60]!r} is not START --> END"
    start, end = (_seconds(value) for value in times.groups())
    text = spoken_text(spoken)
    if start < 0 or end < 0:
        return "negative time"
    if end <= start:
        return "ends before it starts"
    if end - start > LONGEST_CUE:
        return f"too long: {end - start:.0f} s, at most {LONGEST_CUE:g} s"
    return Cue(start=start, end=end, text=text) if any(c.isalnum() for c in text) else None


def _seconds(value: str) -> float:
    sign = -1.0 if value.startswith("-") else 1.0
    total = 0.0
    for figure in value.lstrip("-").replace(",", ".").split(":"):
        total = 60.0 * total + float(figure)
    return sign * total


def _without_overlap(cues: list[Cue], name: str, problems: list[tuple[str, str]]) -> list[Cue]:
    """Cues that follow each other: small overlaps are split, repeated cues and those inside of others skipped."""
    kept: list[Cue] = []
    for cue in cues:
        last = kept[-1] if kept else None
        if last is None or cue.start >= last.end:
            kept.append(cue)
        elif cue.text == last.text or cue.end <= last.end or last.end - cue.start > 0.5 * (cue.end - cue.start):
            problems.append((f"{name} at {cue.start:.3f} s", "overlaps the cue before it"))
        else:
            middle = 0.5 * (cue.start + last.end)
            kept[-1] = Cue(start=last.start, end=middle, text=last.text)
            kept.append(Cue(start=middle, end=cue.end, text=cue.text))
    return kept


def _beside(folder: Path, recording: Path) -> Path | None:
    return next((path for suffix in SUFFIXES if (path := folder / f"{recording.stem}{suffix}").is_file()), None)
