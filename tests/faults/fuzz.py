"""Fuzz all readers of external files: every input is read, or rejected with one line."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(folder) for folder in list(Path(__file__).resolve().parents)[2:0:-1]]

from faults.fuzz_inputs import CANARY
from faults.fuzz_targets import TARGETS
from hypothesis import HealthCheck, Phase, given, seed, settings

from voiceclone.errors import VoicecloneError, shown

INPUT_SECONDS = 10  # seconds of processor time; an input that takes more counts as a hang
MEMORY_BYTES = 2 * 2**30  # on top of what the process holds when it begins
BATCH = 500  # inputs of one hypothesis run: what it keeps of them grows with their number


def attempt(check: Callable[[bytes, Path], None], content: bytes, folder: Path) -> bool:
    """True where the input was read, False where it was correctly rejected; other outcomes raise."""
    try:
        check(content, folder)
    except VoicecloneError as error:
        line = shown(error)
        assert line and "\n" not in line and line.isprintable() and len(line) < 2000, line[:300]
        return False
    finally:
        assert not (folder / CANARY).exists(), "pickled code was run"
    return True


def needs(target: str, require: Callable[[str], object] = importlib.import_module) -> None:
    """Import the dependencies of a target; ``require`` decides what happens if one is missing."""
    if target == "subtitles":
        require("voiceclone.prepare.subtitles")


def fuzz(
    target: str, count: int, first_seed: int, folder: Path, *, progress: bool = False, limited: bool = True
) -> dict:
    """Run ``count`` inputs in this process.

    A failed check is raised after shrinking, with the input in ``last-input``.
    """
    make, check = TARGETS[target]
    inputs = make()
    facts = {"target": target, "inputs": 0, "read": 0, "refused": 0, "slowest_ms": 0.0}
    last = folder / "last-input"
    handle = os.open(last, os.O_CREAT | os.O_RDWR)
    started = time.perf_counter()

    def one(content: bytes) -> None:
        os.ftruncate(handle, 0)  # stored on disk, so that it survives a crash
        os.pwrite(handle, content, 0)
        _limit_work(INPUT_SECONDS if limited else 0)
        began = time.perf_counter()
        read = attempt(check, content, folder)
        facts["slowest_ms"] = max(facts["slowest_ms"], 1000 * (time.perf_counter() - began))
        facts["inputs"] += 1
        facts["read" if read else "refused"] += 1

    options = settings(
        deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )  # fmt: skip
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.suppress(VoicecloneError):
            check(b"", folder)  # imports count for no input
        batch = 0
        while facts["inputs"] < count:
            left = min(BATCH, count - facts["inputs"])
            seed(first_seed + batch)(settings(options, max_examples=left)(given(inputs)(one)))()
            batch += 1
            if progress:
                rate = facts["inputs"] / (time.perf_counter() - started)
                print(f"{target}: {facts['inputs']}/{count}, {rate:.0f} inputs/s", file=sys.stderr, flush=True)
    finally:
        _limit_work(0)
        os.chdir(before)
        os.close(handle)
    facts.update(slowest_ms=round(facts["slowest_ms"], 1), seconds=round(time.perf_counter() - started, 1))
    return facts


def _limit_work(seconds: float) -> None:
    """Kill the process after that much processor time; 0 removes the limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def worker(target: str, count: int, first_seed: int, folder: Path) -> int:
    """One target in this process: facts, or what was found, as one JSON line on standard output."""
    with contextlib.suppress(ImportError):
        import resource

        import torch  # noqa: F401 (before the limit: it maps gigabytes that it never touches)

        if sys.platform == "linux":
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, resource.RLIM_INFINITY))
    import warnings

    warnings.filterwarnings("ignore")
    try:
        print(json.dumps(fuzz(target, count, first_seed, folder, progress=True)))
    except BaseException as error:
        last = f"{type(error).__name__}: {error}"[:300]
        place = traceback.extract_tb(error.__traceback__)[-1]
        traceback.print_exc()
        print(json.dumps({"target": target, "found": f"{last} ({Path(place.filename).name}:{place.lineno})"}))
        return 1
    return 0


def main() -> int:
    """Run the targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="default: all")
    parser.add_argument("--count", type=int, default=100_000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that were found at fault")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.target[0], options.count, options.seed, options.worker)
    results = []
    for target in options.target or TARGETS:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            command = [sys.executable, __file__, "--worker", folder, "--target", target, "--count", str(options.count),
                       "--seed", str(options.seed)]  # fmt: skip
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            lines = done.stdout.strip().splitlines()
            result = json.loads(lines[-1]) if lines else {"target": target, "found": f"it ended with {done.returncode}"}
            if "found" in result and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                kept = options.keep / f"{target}-input"
                kept.write_bytes((Path(folder) / "last-input").read_bytes())
                result["input"] = str(kept)
            results.append(result)
            print(json.dumps(result), file=sys.stderr, flush=True)
    found = [result for result in results if "found" in result]
    print(json.dumps({"inputs": sum(r.get("inputs", 0) for r in results), "found": len(found), "targets": results}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
