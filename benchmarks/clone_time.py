#!/usr/bin/env python3
"""Where the seconds of a clone go, with few and many clips, beside the earlier recipe and a random walk.

    python benchmarks/clone_time.py --data SPEECH/vctk_p225 --base kokoro --work WORK

Four rows, measured one after the other: the default clone of the dataset; the same with MANY training clips (copies of
them, each at another level); the clone with the settings before nano became Kokoro's student, for a few of its 100
epochs, from which its time is projected; and a random walk of kvoicewalk's kind, whose time for 10,000 voices is
projected from two minutes. Each clone is a process of its own: wall time and peak memory include its start.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from random_walk import HarmonicScore, random_walk, target_and_other
from speed import copies, machine

from voiceclone.bases.base import load_base
from voiceclone.data.dataset import load_dataset
from voiceclone.errors import VoicecloneError

MANY = 100  # training clips
EARLIER = ("--lr-projection", "1e-3", "--without", "student")
EARLIER_EPOCHS = 100
PROJECTION = "Projection"  # name of the training's task
WALK_VOICES = 10_000


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Wall time of a clone's process in seconds, its peak resident memory in GiB, and seconds by task."""

    seconds: float
    peak_gib: float
    tasks: dict[str, float]

    def projected(self, epochs: int, of: int) -> float:
        """Seconds of ``of`` epochs, from a run of ``epochs``."""
        return self.seconds + self.tasks[PROJECTION] * (of / epochs - 1.0)


def main() -> int:
    """Parse, run, print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="dataset with a validation split")
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--work", type=Path, required=True, help="folder for the voices and the larger dataset")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--earlier-epochs", type=int, default=6, help="epochs that the earlier recipe really runs")
    parser.add_argument("--walk-seconds", type=float, default=120.0, help="of walking, after the stock voices")
    parser.add_argument("--rows", nargs="*", choices=("few", "many", "earlier", "walk"),
                        default=["few", "many", "earlier", "walk"])  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.base}, {options.data.name}, {options.threads} threads, {machine()}", flush=True)
    try:
        _rows(options)
    except VoicecloneError as error:
        parser.error(str(error))
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


def _rows(options: argparse.Namespace) -> None:
    if "few" in options.rows:
        _print("default clone", timed_clone(options.data, "few", options))
    if "many" in options.rows:
        _print(f"default clone, {MANY} clips", timed_clone(_many(options.data, options.work), "many", options))
    if "earlier" in options.rows:
        count = options.earlier_epochs
        found = timed_clone(options.data, "earlier", options, *EARLIER, "--epochs-projection", str(count))
        _print(f"earlier recipe, {count} epochs", found)
        seconds = found.projected(count, EARLIER_EPOCHS)
        print(f"earlier recipe, {EARLIER_EPOCHS} epochs (projected): {seconds:.0f} s", flush=True)
    if "walk" in options.rows:
        each = walk_seconds(options.data, options.base, options.walk_seconds)
        print(f"random walk: {each:.2f} s a voice, {WALK_VOICES} voices (projected): {each * WALK_VOICES:.0f} s")


def timed_clone(data: Path, name: str, options: argparse.Namespace, *flags: str) -> Timed:
    """Clone in a process of its own.

    Raises:
        subprocess.CalledProcessError: the clone failed; it has said why.
    """
    given = ["--data", str(data), "--name", name, "--base", options.base, "--out", str(options.work), *flags]
    common = ["--overwrite", "--offline", "--quiet", "--device", "cpu"]
    command = [sys.executable, "-m", "voiceclone", "clone", *given, *common]
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code:
        raise subprocess.CalledProcessError(code, command)
    report = json.loads((options.work / name / "report.json").read_text(encoding="utf-8"))
    return Timed(seconds=seconds, peak_gib=usage.ru_maxrss / 2**20, tasks=report["task_seconds"])


def walk_seconds(data: Path, base: str, seconds: float) -> float:
    """Seconds that each voice of the walk takes once the stock voices are ranked."""
    loaded = load_base(base, offline=True)
    clips = load_dataset(data, lang="a", seed=0, vocab=loaded.kmodel.vocab).train
    stock, moments = list(loaded.stock_voices.values()), []
    first = len([pack for pack in stock if pack.name.startswith(("a", "b"))] or stock) + 1  # the walk's start, too
    score = HarmonicScore(loaded, *target_and_other(clips))
    score(stock[0])  # libraries load at the first call
    started = time.perf_counter()
    score(stock[0])
    ranking = first * (time.perf_counter() - started)
    random_walk(score, stock, seconds=ranking + seconds, advance=moments.append)
    if len(moments) == first:
        raise VoicecloneError("--walk-seconds: too few for a single voice: give more")
    return (moments[-1] - moments[first - 1]) / (len(moments) - first)


def _many(data: Path, work: Path) -> Path:
    train = data / "train" / "metadata.jsonl"
    count = sum(1 for line in train.read_text(encoding="utf-8").splitlines() if line.strip())
    return copies(data, work / f"{data.name}_{MANY}", math.ceil(MANY / count), at_most=MANY)


def _print(name: str, found: Timed) -> None:
    tasks = ", ".join(f"{task} {seconds:.0f} s" for task, seconds in found.tasks.items())
    rest = found.seconds - sum(found.tasks.values())
    figures = f"{found.seconds:.0f} s, peak {found.peak_gib:.2f} GiB ({tasks}, start and rest {rest:.0f} s)"
    print(f"{name}: {figures}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
