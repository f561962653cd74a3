"""``voiceclone download``: fetch the real files into the Hub cache, so that everything else works offline."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import VoicecloneError

if TYPE_CHECKING:
    from voiceclone.models.hub import HubFile
    from voiceclone.tracking.progress import Progress, Reporter

MEGABYTE = 1_000_000
THERE, MISSING, DAMAGED = "there", "missing", "damaged"
TAGGER = "en_core_web_sm"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``download``."""
    parser.add_argument(
        "--check", action="store_true", help="only say what is there; exit code 1 if anything is missing"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Fetch, or check, every file of the real base."""
    from voiceclone.models import hub
    from voiceclone.tracking.progress import Reporter

    reporter = Reporter(verbosity=verbosity(options))
    if not options.check:
        _fetch_all(hub.REAL_FILES, reporter, offline=options.offline)
    facts = examine_cache(hub.REAL_FILES)
    if options.json:
        print(json.dumps(facts, indent=2))
    elif not options.quiet:
        print(_as_text(facts))
    return 0 if facts["complete"] else 1


def examine_cache(files: tuple[HubFile, ...]) -> dict[str, Any]:
    """What is in the cache, JSON-able; every file's content is held against its published hash."""
    states = {file.name: _state(file) for file in files}
    return {
        "complete": all(state["state"] == THERE for state in states.values()),
        "files": states,
        "english_tagger": importlib.util.find_spec(TAGGER) is not None,
    }


def _fetch_all(files: tuple[HubFile, ...], reporter: Reporter, *, offline: bool) -> None:
    """Files that are there are not fetched again; of one that was not finished the Hub client keeps nothing."""
    from voiceclone.models import hub

    total = sum(file.size or 0 for file in files) // MEGABYTE
    with reporter.task("Download", total=total, unit="megabyte") as task:
        before = 0
        for file in files:
            hub.fetch(file, offline=offline, progress=_counter(task, before))
            before += file.size or 0


def _counter(task: Progress, before: int) -> Callable[[int], None]:
    """Tells ``task`` the whole megabytes; ``before`` are the bytes of the files that came first."""

    def report(there: int) -> None:
        task.advance(max(0, min((before + there) // MEGABYTE, task.total) - task.done))

    return report


def _state(file: HubFile) -> dict[str, Any]:
    from voiceclone.models import hub

    path = hub.cached(file)
    if path is None:
        return {"state": MISSING, "revision": file.revision}
    try:
        hub.check_hash(path, file.sha256)
    except VoicecloneError:
        state = DAMAGED
    else:
        state = THERE
    return {"state": state, "revision": file.revision, "path": str(path), "bytes": path.stat().st_size}


def _as_text(facts: dict[str, Any]) -> str:
    """A line for each file but the voices, which get one together; and one for each that is damaged."""
    voices = {name: state for name, state in facts["files"].items() if "/voices/" in name}
    lines = []
    for name, state in facts["files"].items():
        size = f" ({state['bytes'] / MEGABYTE:.1f} MB)" if "bytes" in state else ""
        if state["state"] == DAMAGED:
            lines.append(f"{DAMAGED:8}{name}{size}: delete {state['path']} and run `voiceclone download`")
        elif name not in voices:
            lines.append(f"{state['state']:8}{name}{size}")
    absent = [name.rpartition("/")[2] for name, state in voices.items() if state["state"] == MISSING]
    if absent:
        few = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        lines.append(f"{MISSING:8}{len(absent)} official voices: {few}")
    if there := sum(state["state"] == THERE for state in voices.values()):
        lines.append(f"{THERE:8}{there} official voices")
    if not facts["english_tagger"]:
        lines.append(f"{MISSING:8}spaCy model {TAGGER} (optional): python -m spacy download {TAGGER}")
    there = sum(state["state"] == THERE for state in facts["files"].values())
    return "\n".join([*lines, f"{there} of {len(facts['files'])} files are in the Hub cache"])
