"""Provenance of a voice, as stored in its file.

The header of a safetensors file maps strings to strings, so the provenance is stored in one of them as JSON:
``{"voiceclone": '{"my_voice": {"base": "Kokoro-82M", ...}}'}``. A ``.pt`` file is a ZIP archive, which gets the same
JSON as one more entry, ``voiceclone.json``; ``torch.load`` ignores it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voiceclone import __version__
from voiceclone.files import read_note, sha256_of

KEY = "voiceclone"
NOTE = "voiceclone.json"
BASE_FACTS = ("base", "base_kind", "base_sha256", "voice_space")  # the facts that name the base
Provenance = dict[str, str]


def provenance_of_name(voice: str) -> Provenance:
    """Provenance of a stock voice or a mix: its name."""
    return {"source": voice, "written_by": f"voiceclone {__version__}"}


def provenance_of(voice: Path) -> Provenance:
    """Provenance from the name of a voice's file and the ``report.json`` beside it; without empty values."""
    facts = provenance_of_name(voice.name)
    try:
        report = json.loads((voice.parent / "report.json").read_text(encoding="utf-8"))
        if not isinstance(report, dict) or report.get("name") != voice.stem:
            return facts
        if report.get("voice_sha256", "") not in ("", sha256_of(voice)):
            return facts  # the file holds another voice than the report is about
    except (OSError, ValueError, RecursionError):
        return facts
    found: list[dict[str, Any]] = [
        part if isinstance(part := report.get(name), dict) else {} for name in ("base", "dataset")
    ]
    base, dataset = found
    known = {
        "base": base.get("name"),
        "base_kind": base.get("kind"),
        "base_sha256": base.get("sha256"),
        "voice_space": base.get("voice_space"),
        "dataset_fingerprint": dataset.get("fingerprint"),
        "consent": report.get("consent"),
        "seed": report.get("seed"),
        "voice_sha256": report.get("voice_sha256"),
        "versions": json.dumps(report["versions"], sort_keys=True) if report.get("versions") else None,
    }
    return facts | {name: str(value) for name, value in known.items() if value not in (None, "")}


def to_header(by_voice: Mapping[str, Provenance]) -> dict[str, str]:
    """The header's metadata for voices by name."""
    return {KEY: _as_json(by_voice)}


def to_note(by_voice: Mapping[str, Provenance]) -> dict[str, str]:
    """The entry of a ``.pt`` file; none where nothing is known."""
    return {NOTE: _as_json(by_voice)} if by_voice else {}


def stored_provenance(path: Path) -> dict[str, Provenance]:
    """Provenance in a safetensors or ``.pt`` file, by voice; empty for files of other programs."""
    from safetensors import SafetensorError, safe_open

    try:
        if zipfile.is_zipfile(path):
            found = json.loads(read_note(path, NOTE) or "{}")
        else:
            with safe_open(str(path), framework="np") as file:
                found = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except (OSError, ValueError, RecursionError, SafetensorError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): facts for name, facts in found.items() if isinstance(facts, dict)}


def facts_of(path: Path, name: str | None = None) -> Provenance:
    """Provenance of one voice of a file: from the file itself, else from the report beside it.

    Args:
        name: the voice's name, in a file of several. A single voice is found under any name, for files are renamed.
    """
    header = stored_provenance(path)
    known = header.get(name or path.stem) or (next(iter(header.values())) if len(header) == 1 else None)
    return known or provenance_of(path)


def _as_json(by_voice: Mapping[str, Provenance]) -> str:
    return json.dumps(by_voice, ensure_ascii=False, sort_keys=True)
