"""The voices of an output folder, with the information in the files beside them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from voiceclone.voice.provenance import BASE_FACTS, stored_provenance
from voiceclone.voice.space import space_of

CLONE, OTHER = "clone", "other"  # kinds of own voices: made by a clone run, or a mix or copy
REPORT, EVALUATION, EVALUATION_PAGE = "report.json", "evaluation.json", "evaluation.html"


@dataclass(frozen=True, kw_only=True)
class OwnVoice:
    """A voice of the output folder."""

    name: str
    file: str
    kind: str
    """``clone`` if there is a run's report beside it, else ``other``."""
    base: str | None
    """Name of the base it was made for; None if unknown."""
    base_kind: str | None
    """``kokoro`` (whatever the precision of its weights), ``nano`` or ``custom``."""
    base_sha256: str | None
    """SHA-256 of that base's weights."""
    space: str
    """The base's voice space; empty if unknown."""
    date: str
    """Day on which the file was written, ``YYYY-MM-DD``, UTC."""
    likeness: float | None
    """Mean similarity to the speaker's recordings from ``evaluation.json``, -1 to 1; None if there is none."""

    def fits(self, space: str) -> bool:
        """Whether the voice is for bases of that voice space, as far as is known."""
        return self.space in ("", space)

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def voice_files(out: Path) -> list[Path]:
    """``OUT/NAME/NAME.pt``, newest first."""
    found = []
    for path in Path(out).glob("*/*.pt"):
        if path.stem == path.parent.name:
            with contextlib.suppress(OSError):  # deleted meanwhile, or a link to a disk that is not there
                found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found, key=lambda pair: (-pair[0], pair[1]))]


def own_voices(out: Path) -> list[OwnVoice]:
    """The voices of an output folder, newest first; the tensors themselves are not read."""
    found = []
    for path in voice_files(out):
        with contextlib.suppress(FileNotFoundError):  # deleted or renamed meanwhile
            found.append(_described(path))
    return found


def is_evaluation(path: Path) -> bool:
    """Whether a file was written by ``evaluate``: another one of that name belongs to the user."""
    return "verdict" in _json_object(path)


def _described(path: Path) -> OwnVoice:
    report = _json_object(path.parent / REPORT)
    base = report["base"] if isinstance(report.get("base"), dict) else _base_in_file(path)
    facts = {key: base[key] if isinstance(base.get(key), str) else None for key in ("name", "kind", "sha256")}
    return OwnVoice(
        name=path.stem,
        file=str(path),
        kind=CLONE if report.get("name") == path.stem else OTHER,
        base=facts["name"],
        base_kind=facts["kind"],
        base_sha256=facts["sha256"],
        space=space_of(facts["kind"], facts["sha256"], base.get("voice_space")),
        date=datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).date().isoformat(),
        likeness=_likeness(_json_object(path.parent / EVALUATION)),
    )


def _base_in_file(path: Path) -> dict[str, Any]:
    """The base of a mix or copy, from its own file, as a report describes one."""
    facts = next(iter(stored_provenance(path).values()), {})
    keys = ("name", "kind", "sha256", "voice_space")
    return {key: facts[fact] for key, fact in zip(keys, BASE_FACTS) if facts.get(fact)}


def _likeness(evaluation: dict[str, Any]) -> float | None:
    """The clone's similarity by the first encoder in the report."""
    try:
        by_encoder = evaluation["voices"]["clone"]["similarity"]
        value = next(iter(by_encoder.values()))["mean"]
        return float(value) if isinstance(value, int | float) else None
    except (KeyError, TypeError, AttributeError, StopIteration):
        return None


def _json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
