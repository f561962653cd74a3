"""Kill a clone run with ``kill -9`` at random moments, resume it, and compare with an uninterrupted run's voice."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

NAME = "v"
AGAIN = 0.2  # share of resumed runs that are killed, too
PHASES = ("half-written", "before the rename", "after the rename")


@dataclass(frozen=True)
class Moment:
    """When to kill: after ``seconds`` of processor time, or at write number ``write`` in ``phase``."""

    seconds: float | None = None
    write: int | None = None
    phase: str = ""


@dataclass(frozen=True)
class Job:
    """The run under test."""

    arguments: list[str]
    out: Path
    fresh: bool

    @property
    def folder(self) -> Path:
        """Output folder of the voice."""
        return self.out / NAME


# --- Running and killing ----------------------------------------------------------------------------------------------


def start(job: Job, log: Path, *, resume: bool, moment: Moment | None = None) -> int:
    """Start a run; its process id."""
    arguments = [*job.arguments, "--out", str(job.out), *(["--resume"] if resume else [])]
    if job.fresh:
        command = [sys.executable, str(REPOSITORY / "training_styletts2.py"), *arguments]
        with log.open("ab") as stream:
            return subprocess.Popen(command, stdout=stream, stderr=stream, cwd=job.out).pid
    child = os.fork()
    if child:
        return child
    code = 70  # something that no run returns
    try:
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        if moment is not None and moment.write is not None:
            kill_at_write(moment)
        from voiceclone.cli.main import main

        code = main(["clone", *arguments])
        sys.stderr.flush()
    finally:
        os._exit(code)


def kill_at_write(moment: Moment) -> None:
    """Make this process kill itself around one of its writes: each ends in a rename of a temporary file."""
    replace, count = os.replace, 0

    def replace_or_die(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == moment.write:
            if moment.phase == "half-written":
                os.truncate(source, os.path.getsize(source) // 2)
            elif moment.phase == "after the rename":
                replace(source, target)
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die


def processor_seconds(pid: int) -> float:
    """Processor time of a process and its threads so far; infinite when it is over."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return float("inf")
    if fields[0] == "Z":
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(job: Job, log: Path, *, resume: bool, moment: Moment | None = None) -> tuple[int, float]:
    """Run to the end, or to the moment: (wait status as ``subprocess`` gives it, processor seconds)."""
    pid, used = start(job, log, resume=resume, moment=moment), 0.0
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), used
        now = processor_seconds(pid)
        used = now if now != float("inf") else used
        if moment is not None and moment.seconds is not None and now >= moment.seconds:
            os.kill(pid, signal.SIGKILL)  # a process that is over already takes no notice
            moment = None
        time.sleep(0.005)


# --- What is left -----------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def broken(folder: Path) -> list[str]:
    """Finished (not temporary) files that are incomplete."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.startswith(".partial-") or path.name == ".lock":
            continue
        try:
            read_whole(path)
        except Exception as error:
            found.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}"[:200])
    return found


def read_whole(path: Path) -> Any:
    """Read a file to its end by its format's own reader; raises where that is not possible."""
    import soundfile
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    if path.suffix == ".pt":
        return torch.load(path, weights_only=True)
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".wav":
        samples, _ = soundfile.read(path)
        if len(samples) < 2400 or path.stat().st_size != 44 + 2 * len(samples):
            raise ValueError("cut short")
        return samples
    if path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
        return None
    if not path.read_bytes().endswith(b"\n"):
        raise ValueError("no end of line at its end")
    return None


def difference(folder: Path, reference: dict[str, bytes], whole: Path) -> list[str]:
    """Differences between a resumed run and the uninterrupted one in ``whole``."""
    found, now = [], contents(folder)
    found += [f"stray: {name}" for name in sorted(set(now) - set(reference))]
    found += [f"missing: {name}" for name in sorted(set(reference) - set(now))]
    for name in sorted(set(now) & set(reference)):
        # Other files hold times, or that the run was resumed.
        if (name.endswith(".wav") or name == f"{NAME}.pt") and now[name] != reference[name]:
            found.append(f"not identical: {name}")
        elif name.endswith((".pt", ".safetensors")) and not same(read_whole(folder / name), read_whole(whole / name)):
            found.append(f"other tensors: {name}")
    old, new = (json.loads((place / "report.json").read_text()) for place in (whole, folder))
    if old["metrics"] != new["metrics"]:
        found.append("other metrics in report.json")
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two nested contents hold the same tensors."""
    import torch

    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return True


def stage(folder: Path, epochs: int) -> str:
    """The stage a killed run had reached, from its files."""
    import torch

    last = folder / "checkpoints" / "last.pt"
    if not last.exists():
        return "stage 1 and preparation"
    done = torch.load(last, weights_only=True)["state"]["epoch"]
    return "stage 2" if done < epochs else "stage 3"


# --- The test ---------------------------------------------------------------------------------------------------------


def moments(count: int, seconds: float, writes: int, chance: random.Random, *, fresh: bool) -> list[Moment]:
    """Moments spread over the whole run (one at random within each of equal stretches) and over all its writes."""
    timed = count if fresh else count - count // 2
    spread = [Moment(seconds=(i + chance.random()) * seconds / timed) for i in range(timed)]
    numbers = [1 + i % writes for i in range(count - timed)]
    chosen = spread + [Moment(write=number, phase=chance.choice(PHASES)) for number in numbers]
    chance.shuffle(chosen)
    return chosen


def kill_and_resume(job: Job, log: Path, moment: Moment, again: Moment | None, check: Callable[[], None]) -> int:
    """Kill a new run, possibly also its resumed run, then let it finish; returns the kills that happened in time."""
    kills = 0
    status, _ = run(job, log, resume=False, moment=moment)
    if status == -signal.SIGKILL:
        kills += 1
        check()
        if again is not None:
            status, _ = run(job, log, resume=True, moment=again)
            if status == -signal.SIGKILL:
                kills += 1
                check()
    if status == -signal.SIGKILL:
        status, _ = run(job, log, resume=True)
    if status != 0:
        raise RuntimeError(f"ended with {status}: {log.read_text().strip().splitlines()[-1][:300]}")
    return kills


def kill_test(job: Job, count: int, seed: int, epochs: int, minutes: float, scratch: Path) -> dict[str, Any]:
    """Run the whole test; returns the figures."""
    chance, started = random.Random(seed), time.monotonic()
    whole_job = Job(job.arguments, job.out / "whole", job.fresh)
    whole_job.out.mkdir()
    log, writes = job.out / "log", 0
    if not job.fresh:  # import, compile and cache everything once, before anything is forked
        writes = warm_up(Job(job.arguments, job.out / "warm", fresh=False))
    status, seconds = run(whole_job, log, resume=False)
    if status != 0:
        raise SystemExit(f"the uninterrupted run ended with {status}:\n{log.read_text()[-3000:]}")
    reference = contents(whole_job.folder)
    before = {str(p.relative_to(scratch)) for p in scratch.rglob("*") if p.is_file()}
    facts: dict[str, Any] = {"runs": 0, "kills": 0, "killed_twice": 0, "resumed": 0, "identical": 0}
    facts["problems"] = []
    stages, around = Counter(), Counter()
    plan = moments(count, seconds, writes, chance, fresh=job.fresh)
    for number, moment in enumerate(plan):
        if time.monotonic() - started > minutes * 60:
            break
        case = Job(job.arguments, job.out / f"case-{number}", job.fresh)
        case.out.mkdir()
        case_log = case.out / "log"

        def check(case: Job = case) -> None:
            stages[stage(case.folder, epochs)] += 1
            facts["problems"] += [f"half-written after a kill: {line}" for line in broken(case.folder)]

        again = Moment(seconds=chance.random() * seconds) if chance.random() < AGAIN else None
        try:
            kills = kill_and_resume(case, case_log, moment, again, check)
            found = difference(case.folder, reference, whole_job.folder)
        except Exception as error:
            kills, found = 0, [f"{type(error).__name__}: {error}"]
        facts["runs"] += 1
        facts["kills"] += kills
        facts["killed_twice"] += kills == 2
        facts["resumed"] += kills > 0
        around[moment.phase or "at any time"] += kills > 0
        facts["identical"] += kills > 0 and not found
        facts["problems"] += [f"case {number} ({moment}): {line}" for line in found]
        print(f"{number + 1}/{len(plan)}: {kills} kills, {found or 'identical'}", file=sys.stderr, flush=True)
        if not found:
            shutil.rmtree(case.out)
    voice = hashlib.sha256(reference[f"{NAME}.pt"]).hexdigest()
    # These belong to other libraries: this package writes nothing outside the output folder.
    left = sorted({str(p.relative_to(scratch)) for p in scratch.rglob("*") if p.is_file()} - before)
    own = {"run_processor_seconds": round(seconds, 1), "writes_of_a_run": writes, "stages": dict(stages)}
    own["first_kills"] = dict(around)
    own["left_in_temporary_folder"] = dict(Counter(name.rsplit("/", 1)[-1] for name in left))
    return {**facts, **own, "voice_sha256": voice, "seconds": round(time.monotonic() - started)}


def warm_up(job: Job) -> int:
    """One run in this process; how many files it writes, those written again counted again."""
    from voiceclone.cli.main import main

    replace, count = os.replace, 0

    def counted(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        replace(source, target)

    job.out.mkdir()
    os.replace = counted
    try:
        code = main(["clone", *job.arguments, "--out", str(job.out), "--quiet"])
    finally:
        os.replace = replace
    if code != 0:
        raise SystemExit(f"the first run ended with {code}")
    shutil.rmtree(job.out)
    return count


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="runs to kill")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no further run after that time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--clips", type=int, default=4, help="clips of the demo dataset")
    parser.add_argument("--base", default="nano", help="nano, a base folder, or tiny: one with random weights")
    parser.add_argument("--quick", action="store_true", help="leave out parts of the recipe that write nothing")
    parser.add_argument(
        "--tones", action="store_true", help="shorter clips, of tones; empty pictures; F0 computed once"
    )
    parser.add_argument("--fresh", action="store_true", help="start each run as a new process; kills by time only")
    parser.add_argument("--keep", type=Path, help="folder to work in; runs with problems stay there")
    options = parser.parse_args()
    made = tempfile.mkdtemp(prefix="kill-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)  # registered first, so that it comes last
    out = (options.keep or Path(made)).resolve()
    out.mkdir(parents=True, exist_ok=True)
    scratch = Path(made) / "scratch"
    scratch.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    import torch
    from support import quick_clones, write_base, write_dataset

    from voiceclone.data.demo import make_demo_dataset

    torch.set_num_threads(1)
    base = options.base
    if base == "tiny":
        base = str(write_base(out / "base"))
    data = (write_dataset if options.tones else make_demo_dataset)(out / "demo", clips=options.clips)
    arguments = ["--data", str(data), "--name", NAME, "--base", base, "--device", "cpu", "--offline",
                 "--epochs-projection", str(options.epochs)]  # fmt: skip
    if options.quick:
        arguments += ["--without", "initialization,blend,speaker"]
    with contextlib.ExitStack() as stack:
        if options.tones:
            stack.enter_context(quick_clones())
        facts = kill_test(
            Job(arguments, out, options.fresh), options.count, options.seed, options.epochs, options.minutes, scratch
        )
    print(json.dumps(facts))
    return 1 if facts["problems"] or facts["identical"] < facts["resumed"] else 0


if __name__ == "__main__":
    sys.exit(main())
