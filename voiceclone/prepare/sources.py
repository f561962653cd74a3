"""Finding the recordings, and checks that none can be overwritten or is outside of the named folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from voiceclone.audio.io import AUDIO_SUFFIXES, AudioInfo, cancels, probe
from voiceclone.data.metadata import read_metadata
from voiceclone.data.recordings import Part, Recording, Script
from voiceclone.errors import UsageError, VoicecloneError


def find_recordings(sources: Sequence[Path]) -> tuple[list[Recording], list[tuple[str, str]]]:
    """The named audio files and those in named folders, in order of their names, and the files that were skipped.

    Raises:
        UsageError: a source is missing, or there is no audio in any.
    """
    found: list[tuple[Path, str]] = []
    problems: list[tuple[str, str]] = []
    for source in sources:
        try:
            if source.is_dir():
                inside, left_out = _in_folder(source)
                found += inside
                problems += left_out
            elif source.is_file():
                found.append((source, source.name))
            else:
                raise UsageError(f"{source}: no such file or folder: correct the path")
        except (OSError, ValueError) as error:
            if isinstance(error, VoicecloneError):
                raise
            raise UsageError(f"{source}: cannot be read ({error}): give another source") from error
    return _probed(found, sources, problems)


def recordings_of_metadata(path: Path, source: Path) -> tuple[list[Recording], Script, list[tuple[str, str]]]:
    """The clips that a ``metadata.csv`` or ``metadata.jsonl`` lists, with their texts.

    Raises:
        UsageError: there is no such file or folder, or no audio.
        VoicecloneError: the file is malformed, or a clip is outside of ``source``.
    """
    if not source.is_dir():
        raise UsageError(f"{source}: is not a folder: with --metadata give the folder that holds the clips")
    if not path.is_file():
        raise UsageError(f"{path}: no such file: correct --metadata")
    texts: dict[Path, str] = {}
    found: list[tuple[Path, str]] = []
    problems: list[tuple[str, str]] = []
    for entry in read_metadata(path, source, "train"):
        clip = next((p for p in _places(entry.path, source) if p.is_file()), None)
        if clip is None:
            problems.append((entry.name, "no such file"))
        elif not entry.text:
            problems.append((entry.name, "no transcript: the text is empty"))
        elif clip in texts:
            problems.append((entry.name, "duplicate: the same file is listed before"))
        else:
            texts[clip] = entry.text
            found.append((clip, entry.name))
    recordings, problems = _probed(found, [source], problems, whole=True)
    parts = (Part(recording=k, text=texts[r.path], name=path.name) for k, r in enumerate(recordings))
    return recordings, Script(parts=tuple(parts), ready_cut=True), problems


def check_apart(out: Path, sources: Sequence[Path]) -> None:
    """Refuse an output folder that is inside of a source folder or contains a source.

    Raises:
        UsageError: it does.
    """
    target = out.resolve()
    for source in sources:
        place = source.resolve()
        if target == place or (place.is_dir() and target.is_relative_to(place)) or place.is_relative_to(target):
            raise UsageError(f"--out {out}: lies in the source {source} or around it: choose a folder apart from it")


def _in_folder(folder: Path) -> tuple[list[tuple[Path, str]], list[tuple[str, str]]]:
    root = folder.resolve()
    found, problems = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() not in AUDIO_SUFFIXES or any(part.startswith(".") for part in Path(name).parts):
            continue
        if not path.resolve().is_relative_to(root):
            problems.append((name, "leaves the source folder: a link to elsewhere"))
        elif path.is_file():
            found.append((path, name))
    return found, problems


def _places(path: Path, source: Path) -> list[Path]:
    """Possible paths of a listed clip: as listed, or its name in the source folder."""
    root = source.resolve()
    places = [path, root / path.name, root / "wavs" / path.name]
    return [place for place in places if place.resolve().is_relative_to(root)]


def _probed(
    found: list[tuple[Path, str]], sources: Sequence[Path], problems: list[tuple[str, str]], *, whole: bool = False
) -> tuple[list[Recording], list[tuple[str, str]]]:
    """The files that can be read; with ``whole`` only those as long as their headers say."""
    recordings: list[Recording] = []
    known: set[Path] = set()
    stems: set[str] = set()
    plain = {_plain(path.stem).lower() for path, _ in found}
    for path, name in found:
        if path.resolve() in known:
            continue
        known.add(path.resolve())
        try:
            info: AudioInfo = probe(path)
        except VoicecloneError as error:
            problems.append((name, f"unreadable: {str(error).removeprefix(f'{path}: ')}"))
            continue
        doubts = _doubts(path, info)
        if info.lost_seconds > 0 and whole:
            problems.append((name, doubts[0]))
            continue
        stem = _stem(path.stem, stems, plain)
        recordings.append(Recording(path=path, name=name, stem=stem, seconds=info.seconds, doubts=doubts))
    if not recordings:
        first = f" (first: {problems[0][0]}: {problems[0][1]})" if problems else ""
        listed = ", ".join(str(source) for source in list(sources)[:3])
        raise UsageError(f"{listed}: holds no audio that can be read{first}: give WAV, FLAC, OGG or MP3 files")
    return recordings, problems


def _doubts(path: Path, info: AudioInfo) -> tuple[str, ...]:
    doubts = []
    if info.lost_seconds > 0:
        promised = info.seconds + info.lost_seconds
        doubts.append(f"cut short: the header says {promised:.2f} s, the file holds {info.seconds:.2f} s")
    try:
        if info.channels > 1 and cancels(path):
            doubts.append("channels cancel: one is another turned upside down, so the louder is used alone")
    except VoicecloneError:
        pass  # reported when the whole file is read
    return tuple(doubts)


def _stem(name: str, taken: set[str], all_names: set[str]) -> str:
    """A prefix for clip names that is unused, ignoring case, and cannot collide with the name of a cut clip."""
    plain = _plain(name)
    cut_from = re.fullmatch(r"(.+)_\d{4,}", plain)
    if cut_from and cut_from.group(1).lower() in all_names:
        plain += "_whole"
    stem, number = plain, 2
    while stem.lower() in taken:
        stem, number = f"{plain}_{number}", number + 1
    taken.add(stem.lower())
    return stem


def _plain(name: str) -> str:
    """Letters, digits, ``-`` and ``_``, which every file system accepts."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60] or "clip"
