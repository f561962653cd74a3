"""Rows of a multi-speaker dataset: recording, speaker, text, and optional phonemes and durations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from voiceclone.data.metadata import Entry, read_train
from voiceclone.errors import UsageError, VoicecloneError


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of metadata before its features are computed."""

    path: Path
    speaker: str
    text: str
    phonemes: str | None
    durations: tuple[int, ...] | None


def read_rows(folders: Iterable[Path]) -> list[Row]:
    """Read the metadata of every folder.

    Raises:
        UsageError: a folder has no metadata, or there are no rows.
        VoicecloneError: a line of the metadata is broken, or names a file outside its folder.
    """
    rows = [_row(entry, Path(folder).name) for folder in folders for entry in read_train(folder)]
    if not rows:
        raise UsageError("the datasets hold no utterances: give --data folders with metadata.jsonl")
    return rows


def _row(entry: Entry, default_speaker: str) -> Row:
    try:
        durations = None if entry.durations is None else tuple(int(d) for d in entry.durations)
    except (ValueError, TypeError, OverflowError) as error:
        raise VoicecloneError(
            f'{entry.where}: "durations" are not a list of whole numbers: correct the line'
        ) from error
    return Row(
        path=entry.path,
        speaker=entry.speaker or default_speaker,
        text=entry.text,
        phonemes=entry.phonemes,
        durations=durations,
    )
