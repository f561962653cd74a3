"""Notices about a dataset, the report on every clip, and the fingerprint of the used clips."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Container
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.data.checking import Checked
from voiceclone.data.metadata import SPLITS
from voiceclone.data.quality import QualityLimits
from voiceclone.text.alphabet import count_spoken

LITTLE_SECONDS = 20.0  # seconds of training speech below which the user is warned
NARROW_HZ = 10_500.0  # Hz; recordings with a lower bandwidth are reported to the user


def unknown_symbols(root: Path, kept: list[Checked], vocab: Container[str]) -> list[str]:
    """A notice about phoneme symbols that the model does not know and that are dropped; empty where all are known."""
    lost = [{c for c in item.phonemes if c not in vocab and unicodedata.category(c)[0] in "LM"} for item in kept]
    if not any(lost):
        return []
    symbols = ", ".join(repr(symbol) for symbol in sorted(set().union(*lost)))
    count = sum(map(bool, lost))
    return [f"{root}: the model does not know the phoneme symbols {symbols}, left out of {count} transcripts"]


def little_speech(root: Path, kept: list[Checked]) -> list[str]:
    """A notice where there is little training data."""
    seconds = sum(item.seconds for item in kept if item.entry.split == "train")
    if seconds >= LITTLE_SECONDS:
        return []
    return [f"{root}: only {seconds:.0f} s of speech to learn from: expect a rough likeness; a minute is much better"]


def sound_notices(kept: list[Checked]) -> list[str]:
    """Notices about faults in the audio of usable clips, one line each."""
    notices = []
    narrow = [item for item in kept if (item.measured.bandwidth_hz or NARROW_HZ) < NARROW_HZ]
    if narrow:
        kilohertz = float(np.median([item.measured.bandwidth_hz for item in narrow])) / 1000
        notices.append(
            f"{len(narrow)} of {len(kept)} clips hold no speech above {kilohertz:.1f} kHz: what lies above is not"
            " learned from them"
        )
    warned: dict[str, list[Checked]] = {}
    for item in kept:
        for warning in item.measured.warnings:
            warned.setdefault(warning.split(": ")[0], []).append(item)
    for reason, items in warned.items():
        first = items[0]
        detail = next(w for w in first.measured.warnings if w.startswith(reason)).split(": ", 1)[1]
        notices.append(f"{len(items)} of {len(kept)} clips: {reason} ({first.entry.name[:80]}: {detail})")
    return notices


def reasons(checked: list[Checked]) -> Counter[str]:
    """Number of rejected clips by reason."""
    return Counter(item.problem.split(": ")[0] for item in checked if item.problem is not None)


def reasons_line(checked: list[Checked]) -> str:
    """The reasons in one line, the most frequent first."""
    return ", ".join(f"{count} {reason}" for reason, count in reasons(checked).most_common())


def report_of(
    root: Path,
    lang: str,
    seed: int,
    checked: list[Checked],
    limits: QualityLimits,
    vocab: Container[str],
    notices: list[str],
) -> dict[str, Any]:
    """Content of ``dataset_report.json``: settings, counts, reasons, and every clip with its measurements."""
    kept = {split: [c for c in checked if c.problem is None and c.entry.split == split] for split in SPLITS}
    return {
        "root": str(root),
        "language": lang,
        "seed": seed,
        "summary": {
            "clips": len(checked),
            "kept": {split: len(items) for split, items in kept.items()},
            "kept_seconds": {split: round(sum(c.seconds for c in items), 3) for split, items in kept.items()},
            "skipped": sum(c.problem is not None for c in checked),
            "skipped_reasons": dict(reasons(checked)),
        },
        "notices": list(notices),
        "limits": asdict(limits),
        "clips": [_report_clip(item, vocab) for item in checked],
    }


def _report_clip(item: Checked, vocab: Container[str]) -> dict[str, Any]:
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
        "phonemes_per_second": round(spoken / item.seconds, 2) if spoken and item.seconds else None,
        **measured | {"warnings": list(item.measured.warnings)},
    }


def fingerprint_of(kept: list[Checked]) -> str:
    """SHA-256 over split, name, text and audio of the clips, independent of their order."""
    rows = sorted([i.entry.split, i.entry.name, i.entry.text, i.measured.audio_sha256] for i in kept)
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode("utf-8")).hexdigest()
