"""Clones whose time and memory are measured, each in a process of its own, and larger datasets for them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import soundfile


@dataclass(frozen=True, kw_only=True)
class TimedClone:
    """Wall time of a clone's process in seconds, its peak resident memory in GiB, and seconds by task."""

    seconds: float
    peak_gib: float
    tasks: dict[str, float]


def timed_clone(data: Path, name: str, *flags: str, base: str, out: Path, threads: int) -> TimedClone:
    """Clone on the CPU in a process of its own, into ``out / name``.

    Raises:
        subprocess.CalledProcessError: the clone failed; it has said why.
    """
    given = ["--data", str(data), "--name", name, "--base", base, "--out", str(out), *flags]
    common = ["--overwrite", "--offline", "--quiet", "--device", "cpu"]
    command = [sys.executable, "-m", "voiceclone", "clone", *given, *common]
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    _, status, usage = os.wait4(process.pid, 0)  # unlike RUSAGE_CHILDREN, of this process alone
    seconds = time.perf_counter() - started
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        raise subprocess.CalledProcessError(code, command)
    report = json.loads((out / name / "report.json").read_text(encoding="utf-8"))
    return TimedClone(seconds=seconds, peak_gib=usage.ru_maxrss / 2**20, tasks=report["task_seconds"])


def copies(source: Path, target: Path, count: int, *, at_most: int | None = None) -> Path:
    """The same training clips ``count`` times under other names, a little softer each time (copies would be dropped).

    Args:
        source: a dataset with ``train`` and, optionally, ``validation``; the latter is copied once.
        target: folder of the new dataset; kept if it exists.
        count: copies of each training clip.
        at_most: number of training clips to stop at.
    """
    if (target / "train" / "metadata.jsonl").is_file():
        return target
    for split in ("train", "validation"):
        if not (source / split / "metadata.jsonl").is_file():
            continue
        lines = []
        (target / split).mkdir(parents=True, exist_ok=True)
        for row in map(json.loads, (source / split / "metadata.jsonl").read_text().splitlines()):
            audio, rate = soundfile.read(source / split / row["file_name"])
            for number in range(count if split == "train" else 1):
                name = f"{number}_{row['file_name']}"
                soundfile.write(target / split / name, audio * 0.9 * 0.97**number, rate)
                lines.append(json.dumps({**row, "file_name": name}))
        kept = lines[:at_most] if split == "train" else lines
        (target / split / "metadata.jsonl").write_text("\n".join(kept) + "\n")
    return target


def machine() -> str:
    """Processor and cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
