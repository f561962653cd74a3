"""The dataset that is being recorded: its sentences, and adding clips one by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from voiceclone.audio.io import write_wav
from voiceclone.audio.silence import sounding_range
from voiceclone.data.metadata import read_dataset
from voiceclone.data.quality import Measurement, QualityLimits, measure_samples
from voiceclone.data.tables import read_text
from voiceclone.errors import UsageError
from voiceclone.files import LOCK, TEMPORARY_PREFIX, remove_partial_files, write_text
from voiceclone.recording.microphone import Take

METADATA = Path("train", "metadata.jsonl")
MARGIN = 0.2  # seconds of silence kept before and after the speech
QUIET_DB = 35.0  # dB below the loudest frame; quieter frames are silence


class Session:
    """``OUT/train/metadata.jsonl`` and its clips; earlier clips are kept.

    Args:
        out: the dataset folder.

    Raises:
        UsageError: the folder holds something else.
        VoicecloneError: its metadata cannot be read.
    """

    def __init__(self, out: Path) -> None:
        self.out, self._path = out, out / METADATA
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file: choose another --out")
        if self._path.is_file():
            self._rows = [(entry.name, entry.text) for entry in read_dataset(out)["train"]]
        elif out.is_dir() and not _is_begun(out):
            raise UsageError(f"{out} holds other files: choose an empty folder with --out")
        else:
            self._rows = []

    @property
    def texts(self) -> list[str]:
        """The recorded texts, in order of recording."""
        return [text for _, text in self._rows]

    def add(self, text: str, audio: np.ndarray, rate: int) -> Path:
        """Write a clip ``(T,)`` at ``rate`` Hz and its row; an earlier clip of the same text is replaced."""
        known = {spoken: name for name, spoken in self._rows}
        name = known.get(text) or self._free_name()
        path = self._path.parent / name
        remove_partial_files(self._path.parent)  # of a run that was killed; here, because the folder is locked by now
        write_wav(path, audio, rate)  # the clip first: a row without its clip would be an error
        if text not in known:
            self._rows.append((name, text))
            earlier = read_text(self._path).rstrip() if self._path.is_file() else ""  # UTF-16 of an editor, too
            row = json.dumps({"file_name": name, "text": text}, ensure_ascii=False)
            write_text(self._path, f"{earlier}\n{row}\n" if earlier else f"{row}\n")
        return path

    def _free_name(self) -> str:
        """The first name of no clip, listed or not; some file systems do not tell upper from lower case.

        Without rows the only clip is that of a recording that was stopped before its row was written.
        """
        listed = {name.casefold() for name, _ in self._rows}
        there = {path.name.casefold() for path in self._path.parent.glob("*")} if self._rows else set()
        number = 1
        while clip_name(number) in listed | there:
            number += 1
        return clip_name(number)


def clip_name(number: int) -> str:
    """File name of a clip; the first has number 1."""
    return f"clip_{number:03d}.wav"


def _is_begun(out: Path) -> bool:
    """Whether a folder without metadata holds no more than a recording that was stopped at its very first clip.

    Other clips are refused, because without their rows new ones would be written over them.
    """
    train = out / METADATA.parent
    if any(path.name != LOCK and not (path == train and path.is_dir()) for path in out.iterdir()):
        return False
    members = list(train.iterdir()) if train.is_dir() else []
    return all(
        path.is_file() and (path.name == clip_name(1) or path.name.startswith(TEMPORARY_PREFIX)) for path in members
    )


def trimmed_take(take: Take) -> np.ndarray:
    """The speech of a recording ``(T,)`` at its own rate, with ``MARGIN`` seconds of silence around it."""
    if len(take.audio) == 0:
        return take.audio
    start, end = sounding_range(take.audio, top_db=QUIET_DB)
    margin = int(MARGIN * take.rate)
    return take.audio[max(0, start - margin) : end + margin]


def judged(take: Take, audio: np.ndarray) -> Measurement:
    """The checks of cloning applied to a clip ``(T,)``, and whether audio was lost during recording."""
    measured = measure_samples(audio, take.rate, QualityLimits())
    if take.lost and measured.problem is None:
        return Measurement(seconds=measured.seconds, problem="interrupted: the computer was too busy to take all sound")
    return measured
