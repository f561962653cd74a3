"""Loading a dataset folder: checked clips with phonemes, split into training and validation, with a report."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.data.metadata import SPLITS, Entry, read_dataset
from voiceclone.data.quality import Measurement, QualityLimits, measure_audio, transcript_problem
from voiceclone.errors import VoicecloneError
from voiceclone.text.alphabet import count_spoken
from voiceclone.text.g2p import Phonemizer, language_code

LITTLE_SECONDS = 20.0  # of speech for training; with less there is a warning
NARROW_HZ = 10_500.0  # a notice is given for recordings with a lower bandwidth
VALIDATION_SHARE = 0.1  # of the clips, if the folder has no validation split
Progress = Callable[[int, int], None]


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


@dataclass(frozen=True, kw_only=True)
class _Checked:
    entry: Entry
    measured: Measurement
    phonemes: str
    problem: str | None


def load_dataset(
    root: Path | str,
    *,
    lang: str = "a",
    seed: int = 0,
    vocab: Container[str],
    offline: bool = False,
    progress: Progress | None = None,
    limits: QualityLimits | None = None,
) -> Dataset:
    """Read a dataset folder, check every clip once and split.

    Args:
        lang: language of the transcripts, a code of Kokoro's.
        seed: of the choice of held-out clips, if the folder has no validation split.
        vocab: the phoneme symbols the model knows.
        offline: download nothing.
        progress: called with (clips done, clips in all) after every clip.

    Raises:
        UsageError: no such folder, no metadata, an unknown language.
        VoicecloneError: malformed metadata, or (TooLittleData) too little is usable.
    """
    root = Path(root)
    limits = limits or QualityLimits()
    lang = language_code(lang)
    listed = read_dataset(root)
    phonemizer = Phonemizer(lang, offline=offline)
    entries = [entry for split in SPLITS for entry in listed[split]]
    checked = _check_all(entries, phonemizer, vocab, limits, progress)
    kept = [item for item in checked if item.problem is None]
    notices = [phonemizer.notice] if phonemizer.notice else []
    if not any(item.entry.split == "validation" for item in kept):
        held_out = hold_out([item.entry.name for item in kept], seed)
        if held_out:
            checked = [_moved(item, held_out) for item in checked]
            kept = [item for item in checked if item.problem is None]
            why = "no usable clip in validation/" if listed["validation"] else "no validation split"
            notices.append(f"{root}: {why}, so {len(held_out)} of the clips are held out for validation (seed {seed})")
    notices += _unknown_symbols(root, kept, vocab) + _little_speech(root, kept)
    skipped = len(checked) - len(kept)
    if skipped:
        notices.append(f"{root}: {skipped} of {len(checked)} clips skipped: {_summary(checked)}")
    notices += [f"{root}: {line}" for line in _sound_notices(kept)]
    report = _report(root, lang, seed, checked, limits, vocab, notices)
    _require_enough(root, kept, checked, limits, report)
    clips = [_clip(item) for item in kept]
    return Dataset(
        root=root,
        train=tuple(clip for clip in clips if clip.split == "train"),
        validation=tuple(clip for clip in clips if clip.split == "validation"),
        report=report,
        fingerprint=_fingerprint(kept),
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


def _check_all(
    entries: list[Entry],
    phonemizer: Phonemizer,
    vocab: Container[str],
    limits: QualityLimits,
    progress: Progress | None,
) -> list[_Checked]:
    by_path: dict[Path, str] = {}
    by_audio: dict[str, str] = {}
    checked = []
    for done, entry in enumerate(entries, start=1):
        if entry.path in by_path:
            problem = f"duplicate: the same file as {by_path[entry.path]}"
            checked.append(_Checked(entry=entry, measured=Measurement(), phonemes="", problem=problem))
        else:
            item = _check(entry, phonemizer, vocab, limits)
            by_path[entry.path] = f"{entry.split}/{entry.name}"
            twin = by_audio.get(item.measured.audio_sha256 or "")
            if item.problem is None and twin is not None:
                item = replace(item, problem=f"duplicate: the same audio as {twin}")
            elif item.problem is None:
                by_audio[item.measured.audio_sha256] = f"{entry.split}/{entry.name}"
            checked.append(item)
        if progress is not None:
            progress(done, len(entries))
    return checked


def _check(entry: Entry, phonemizer: Phonemizer, vocab: Container[str], limits: QualityLimits) -> _Checked:
    measured = measure_audio(entry.path, limits)
    problem, phonemes = measured.problem, ""
    if problem is None:
        try:
            phonemes = phonemizer.phonemes(entry.text)
        except VoicecloneError as error:
            problem = f"not speakable: {error}"
        else:
            problem = transcript_problem(entry.text, phonemes, measured.seconds, vocab, limits)
    return _Checked(entry=entry, measured=measured, phonemes=phonemes, problem=problem)


def _unknown_symbols(root: Path, kept: list[_Checked], vocab: Container[str]) -> list[str]:
    """A notice about phonemes whose symbols the model does not know; empty if there are none."""
    lost = [{c for c in item.phonemes if c not in vocab and unicodedata.category(c)[0] in "LM"} for item in kept]
    if not any(lost):
        return []
    symbols = ", ".join(repr(symbol) for symbol in sorted(set().union(*lost)))
    count = sum(map(bool, lost))
    return [f"{root}: the model does not know the phoneme symbols {symbols}, left out of {count} transcripts"]


def _little_speech(root: Path, kept: list[_Checked]) -> list[str]:
    """A notice if there is too little speech for training."""
    seconds = sum(item.measured.seconds for item in kept if item.entry.split == "train")
    if seconds >= LITTLE_SECONDS:
        return []
    return [f"{root}: only {seconds:.0f} s of speech to learn from: expect a rough likeness; a minute is much better"]


def _moved(item: _Checked, held_out: frozenset[str]) -> _Checked:
    if item.problem is not None or item.entry.name not in held_out:
        return item
    return replace(item, entry=replace(item.entry, split="validation"))


def _clip(item: _Checked) -> Clip:
    entry = item.entry
    return Clip(
        path=entry.path,
        name=entry.name,
        text=entry.text,
        phonemes=item.phonemes,
        seconds=item.measured.seconds,
        split=entry.split,
        speaker=entry.speaker,
        bandwidth_hz=item.measured.bandwidth_hz or math.inf,
    )


def _sound_notices(kept: list[_Checked]) -> list[str]:
    """Notices about the audio of usable clips, one line each."""
    notices = []
    narrow = [item for item in kept if (item.measured.bandwidth_hz or NARROW_HZ) < NARROW_HZ]
    if narrow:
        kilohertz = float(np.median([item.measured.bandwidth_hz for item in narrow])) / 1000
        notices.append(
            f"{len(narrow)} of {len(kept)} clips hold no speech above {kilohertz:.1f} kHz: what lies above is not"
            " learned from them"
        )
    warned: dict[str, list[_Checked]] = {}
    for item in kept:
        for warning in item.measured.warnings:
            warned.setdefault(warning.split(": ")[0], []).append(item)
    for reason, items in warned.items():
        first = items[0]
        detail = next(w for w in first.measured.warnings if w.startswith(reason)).split(": ", 1)[1]
        notices.append(f"{len(items)} of {len(kept)} clips: {reason} ({first.entry.name[:80]}: {detail})")
    return notices


def _reasons(checked: list[_Checked]) -> Counter[str]:
    return Counter(item.problem.split(": ")[0] for item in checked if item.problem is not None)


def _summary(checked: list[_Checked]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in _reasons(checked).most_common())


def _require_enough(
    root: Path, kept: list[_Checked], checked: list[_Checked], limits: QualityLimits, report: dict[str, Any]
) -> None:
    train = [item for item in kept if item.entry.split == "train"]
    seconds = sum(item.measured.seconds for item in train)
    held_out = len(kept) - len(train)
    if len(train) >= limits.min_clips and seconds >= limits.min_total_seconds and held_out:
        return
    skipped = f"skipped: {_summary(checked)}" if len(kept) < len(checked) else "none skipped"
    first = next((f" (first: {item.entry.name[:80]}: {item.problem[:200]})" for item in checked if item.problem), "")
    message = (
        f"{root}: {len(kept)} of {len(checked)} clips are usable, which leaves {len(train)} ({seconds:.1f} s) for"
        f" training and {held_out} for validation, where {limits.min_clips} ({limits.min_total_seconds:g} s) and 1 are"
        f" needed; {skipped}{first}: add clips or mend these"
    )
    # A file_name may contain a line break.
    raise TooLittleData(" ".join(message.split()), report)


def _report(
    root: Path,
    lang: str,
    seed: int,
    checked: list[_Checked],
    limits: QualityLimits,
    vocab: Container[str],
    notices: list[str],
) -> dict[str, Any]:
    kept = {split: [c for c in checked if c.problem is None and c.entry.split == split] for split in SPLITS}
    return {
        "root": str(root),
        "language": lang,
        "seed": seed,
        "summary": {
            "clips": len(checked),
            "kept": {split: len(items) for split, items in kept.items()},
            "kept_seconds": {split: round(sum(c.measured.seconds for c in items), 3) for split, items in kept.items()},
            "skipped": sum(c.problem is not None for c in checked),
            "skipped_reasons": dict(_reasons(checked)),
        },
        "notices": list(notices),
        "limits": asdict(limits),
        "clips": [_report_clip(item, vocab) for item in checked],
    }


def _report_clip(item: _Checked, vocab: Container[str]) -> dict[str, Any]:
    measured = asdict(item.measured)
    del measured["problem"]
    for name in ("seconds", "level_dbfs", "peak", "clipped", "offset"):
        measured[name] = None if measured[name] is None else round(measured[name], 4)
    spoken = count_spoken(item.phonemes, vocab)
    return {
        "name": item.entry.name,
        "split": item.entry.split,
        "seconds": measured.pop("seconds"),
        "status": "kept" if item.problem is None else "skipped",
        "reason": item.problem,
        "text": item.entry.text,
        "phonemes": item.phonemes,
        "phonemes_per_second": round(spoken / item.measured.seconds, 2) if spoken and item.measured.seconds else None,
        **measured | {"warnings": list(item.measured.warnings)},
    }


def _fingerprint(kept: list[_Checked]) -> str:
    rows = sorted([i.entry.split, i.entry.name, i.entry.text, i.measured.audio_sha256] for i in kept)
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode("utf-8")).hexdigest()
