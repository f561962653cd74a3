"""``voiceclone doctor``: report versions, device, weights, extras and free space."""

from __future__ import annotations

import argparse
import json
from typing import Any

from voiceclone.cli.clone import add_verbosity

MEGABYTE, GIGABYTE = 1e6, 1e9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``doctor``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Check and print; returns 1 if something that is required is broken. Nothing is downloaded."""
    from voiceclone.cli.checkup import examine_machine

    facts = examine_machine()
    print(json.dumps(facts, indent=2) if options.json else _as_text(facts))
    return 0 if facts["ok"] else 1


def _as_text(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [versions, facts["system"]]
    if (device := facts["device"]) is not None:
        lines.append(f"device: {device['chosen']} ({device['name']}), {device['threads']} CPU threads")
    lines += ["", "weights, in the order in which --base auto takes them:", *map(_weights_line, facts["weights"])]
    lines += ["", "extras (installed from a checkout of voiceclone):"]
    lines += [_extra_line(name, extra) for name, extra in facts["extras"].items()]
    lines += [_optional("spaCy model", facts["english_tagger"], "better English readings", _TAGGER)]
    lines += [_optional("Resemblyzer", facts["speaker_encoder"], "nearer clones and zero-shot voices", _SPEAKER)]
    lines += ["", "free space:", *(_space_line(name, place) for name, place in facts["space"].items()), ""]
    lines += [f"PROBLEM: {problem}" for problem in facts["problems"]] or ["everything that is needed is there"]
    return "\n".join(lines)


_TAGGER = "python -m spacy download en_core_web_sm"
_SPEAKER = "pip install --no-deps resemblyzer"


def _weights_line(entry: dict[str, Any]) -> str:
    size = "" if entry["bytes"] is None else f", {entry['bytes'] / MEGABYTE:.0f} MB in {entry['path']}"
    return f"  {entry['state']:<8}{entry['base']}: {entry['source']}{size}"


def _extra_line(name: str, extra: dict[str, Any]) -> str:
    return _optional(name, extra["installed"], extra["adds"], extra["install"])


def _optional(name: str, there: bool, adds: str, install: str) -> str:
    return f"  {'there' if there else 'missing':<8}{name}: {adds}{'' if there else f' ({install})'}"


def _space_line(name: str, place: dict[str, Any]) -> str:
    from voiceclone.cli.checkup import LITTLE_SPACE

    little = "  little: fetching the real Kokoro and cloning take about 1 GB" if place["free"] < LITTLE_SPACE else ""
    return f"  {place['free'] / GIGABYTE:.1f} GB  {name}: {place['path']}{little}"
