"""Loading a dataset folder: checked clips with phonemes, split into training and validation, with a report."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.data.checking import Checked, Progress, check_all
from voiceclone.data.dataset_report import (
    fingerprint_of,
    little_speech,
    reasons_line,
    report_of,
    sound_notices,
    unknown_symbols,
)
from voiceclone.data.metadata import SPLITS, read_dataset
from voiceclone.data.quality import QualityLimits
from voiceclone.errors import VoicecloneError
from voiceclone.text.g2p import Phonemizer, language_code

VALIDATION_SHARE = 0.1  # of the clips, if the folder has no validation split


@dataclass(frozen=True)
class Clip:
    """One usable clip."""

    path: Path
    name: str
    """``file_name`` as in the metadata."""
    text: str
    phonemes: str
    """As KPipeline would speak ``text``: 1-510 characters."""
    seconds: float
    split: str
    """``train`` or ``validation``."""
    speaker: str | None = None
    bandwidth_hz: float = math.inf
    """Above this frequency the recording holds no speech."""


@dataclass(frozen=True)
class Dataset:
    """The usable clips of a folder, in the order of its metadata."""

    root: Path
    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    report: dict[str, Any]
    """JSON-able: every clip, kept or skipped with the reason, and the limits."""
    fingerprint: str
    """SHA-256 (hex) over splits, names, texts and audio: the same clips give the same value."""
    notices: tuple[str, ...]
    """Notices for the user."""


class TooLittleData(VoicecloneError):
    """Too few clips are usable; ``report`` lists every clip with its reason."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


def load_dataset(
    root: Path | str,
    *,
    lang: str = "a",
    seed: int = 0,
    vocab: Container[str],
    progress: Progress | None = None,
    limits: QualityLimits | None = None,
) -> Dataset:
    """Read a dataset folder, check every clip once and split.

    Args:
        lang: language of the transcripts, a code of Kokoro's.
        seed: of the choice of held-out clips, if the folder has no validation split.
        vocab: the phoneme symbols the model knows.
        progress: called with (clips done, clips in all) after every clip.

    Raises:
        UsageError: no such folder, no metadata, an unknown language.
        VoicecloneError: malformed metadata, or (TooLittleData) too little is usable.
    """
    root = Path(root)
    limits = limits or QualityLimits()
    lang = language_code(lang)
    listed = read_dataset(root)
    phonemizer = Phonemizer(lang)
    entries = [entry for split in SPLITS for entry in listed[split]]
    checked = check_all(entries, phonemizer, vocab, limits, progress)
    kept = [item for item in checked if item.problem is None]
    notices = [phonemizer.notice] if phonemizer.notice else []
    if not any(item.entry.split == "validation" for item in kept):
        held_out = hold_out([item.entry.name for item in kept], seed)
        if held_out:
            checked = [_moved(item, held_out) for item in checked]
            kept = [item for item in checked if item.problem is None]
            why = "no usable clip in validation/" if listed["validation"] else "no validation split"
            notices.append(f"{root}: {why}, so {len(held_out)} of the clips are held out for validation (seed {seed})")
    notices += unknown_symbols(root, kept, vocab) + little_speech(root, kept)
    skipped = len(checked) - len(kept)
    if skipped:
        notices.append(f"{root}: {skipped} of {len(checked)} clips skipped: {reasons_line(checked)}")
    notices += [f"{root}: {line}" for line in sound_notices(kept)]
    report = report_of(root, lang, seed, checked, limits, vocab, notices)
    _require_enough(root, kept, checked, limits, report)
    clips = [_clip(item) for item in kept]
    return Dataset(
        root=root,
        train=tuple(clip for clip in clips if clip.split == "train"),
        validation=tuple(clip for clip in clips if clip.split == "validation"),
        report=report,
        fingerprint=fingerprint_of(kept),
        notices=tuple(notices),
    )


def hold_out(names: list[str], seed: int, share: float = VALIDATION_SHARE) -> frozenset[str]:
    """A seeded share of ``names``, at least one; the choice does not depend on their order. Empty below two names."""
    if len(names) < 2:
        return frozenset()
    count = max(1, round(share * len(names)))
    chosen = np.random.default_rng(seed).permutation(len(names))[:count]
    ordered = sorted(names)
    return frozenset(ordered[index] for index in chosen)


def _moved(item: Checked, held_out: frozenset[str]) -> Checked:
    if item.problem is not None or item.entry.name not in held_out:
        return item
    return replace(item, entry=replace(item.entry, split="validation"))


def _clip(item: Checked) -> Clip:
    entry = item.entry
    return Clip(
        path=entry.path,
        name=entry.name,
        text=entry.text,
        phonemes=item.phonemes,
        seconds=item.seconds,
        split=entry.split,
        speaker=entry.speaker,
        bandwidth_hz=item.measured.bandwidth_hz or math.inf,
    )


def _require_enough(
    root: Path, kept: list[Checked], checked: list[Checked], limits: QualityLimits, report: dict[str, Any]
) -> None:
    train = [item for item in kept if item.entry.split == "train"]
    seconds = sum(item.seconds for item in train)
    held_out = len(kept) - len(train)
    if len(train) >= limits.min_clips and seconds >= limits.min_total_seconds and held_out:
        return
    skipped = f"skipped: {reasons_line(checked)}" if len(kept) < len(checked) else "none skipped"
    first = next((f" (first: {item.entry.name[:80]}: {item.problem[:200]})" for item in checked if item.problem), "")
    message = (
        f"{root}: {len(kept)} of {len(checked)} clips are usable, which leaves {len(train)} ({seconds:.1f} s) for"
        f" training and {held_out} for validation, where {limits.min_clips} ({limits.min_total_seconds:g} s) and 1 are"
        f" needed; {skipped}{first}: add clips or mend these"
    )
    # A file_name may contain a line break.
    raise TooLittleData(" ".join(message.split()), report)
