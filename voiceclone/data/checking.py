"""Measure and phonemise every listed clip once, with the reason for each rejected one."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from pathlib import Path

from voiceclone.data.metadata import Entry
from voiceclone.data.quality import Measurement, QualityLimits, measure_audio, transcript_problem
from voiceclone.errors import VoicecloneError
from voiceclone.text.g2p import Phonemizer

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Result of checking one clip. ``problem`` is the reason why it is left out; None where it is used."""

    entry: Entry
    measured: Measurement
    phonemes: str
    problem: str | None

    @property
    def seconds(self) -> float:
        """Length of the clip; 0 where it could not be read."""
        return self.measured.seconds or 0.0


def check_all(
    entries: list[Entry],
    phonemizer: Phonemizer,
    vocab: Container[str],
    limits: QualityLimits,
    progress: Progress | None,
) -> list[Checked]:
    """Check every clip, in order. Of usable clips that occur twice, by path or by audio, the second is rejected.

    An unusable clip does not stand in the way of a later one: the same file may be listed again with a better text.
    """
    by_path: dict[Path, str] = {}
    by_audio: dict[str, str] = {}
    checked = []
    for done, entry in enumerate(entries, start=1):
        if entry.path in by_path:
            problem = f"duplicate: the same file as {by_path[entry.path]}"
            checked.append(Checked(entry=entry, measured=Measurement(), phonemes="", problem=problem))
        else:
            item = _check(entry, phonemizer, vocab, limits)
            digest = item.measured.audio_sha256 or ""
            if item.problem is None and digest in by_audio:
                item = replace(item, problem=f"duplicate: the same audio as {by_audio[digest]}")
            elif item.problem is None:
                by_path[entry.path] = by_audio[digest] = f"{entry.split}/{entry.name}"
            checked.append(item)
        if progress is not None:
            progress(done, len(entries))
    return checked


def _check(entry: Entry, phonemizer: Phonemizer, vocab: Container[str], limits: QualityLimits) -> Checked:
    measured = measure_audio(entry.path, limits)
    problem, phonemes = measured.problem, ""
    if problem is None:
        try:
            phonemes = phonemizer.phonemes(entry.text)
        except VoicecloneError as error:
            problem = f"not speakable: {error}"
        else:
            problem = transcript_problem(entry.text, phonemes, measured.seconds or 0.0, vocab, limits)
    return Checked(entry=entry, measured=measured, phonemes=phonemes, problem=problem)
