"""``voiceclone download``: fetch the real files into the Hub cache, so that everything else works offline."""

from __future__ import annotations

import argparse
import json

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import VoicecloneError


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
        with reporter.task("Download", total=len(hub.REAL_FILES), unit="file") as task:
            for file in hub.REAL_FILES:
                hub.fetch(file, offline=options.offline)
                task.advance(1)
    state = {f"{file.repo}/{file.path}": _state(file) for file in hub.REAL_FILES}
    missing = [name for name, found in state.items() if found != "there"]
    if options.json:
        print(json.dumps({"complete": not missing, "files": state}, indent=2))
    else:
        for name in missing:
            reporter.info(f"{state[name]}: {name}")
        reporter.info(f"{len(state) - len(missing)} of {len(state)} files are in the Hub cache")
    return 1 if missing else 0


def _state(file) -> str:
    from voiceclone.models import hub

    path = hub.cached(file)
    if path is None:
        return "missing"
    try:
        hub.check_hash(path, file.sha256)
    except VoicecloneError:
        return "damaged"
    return "there"
