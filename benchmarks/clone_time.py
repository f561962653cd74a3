#!/usr/bin/env python3
"""Where the seconds of a clone go, with few and many clips, beside the earlier recipe and a random walk.

    python benchmarks/clone_time.py --data SPEECH/vctk_p225 --base kokoro --work WORK

Four rows, measured one after the other: the default clone of the dataset; the same with MANY training clips (copies of
them, each at another level); the clone with epochs, learning rate and alignment from before nano became Kokoro's
student, for a few of its 100 epochs, from which its time is projected; and a random walk of kvoicewalk's kind, whose
time for 10,000 voices is projected from some minutes. Wall time and peak memory of a clone include its process' start.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path

import torch
from random_walk import HarmonicScore, random_walk, target_and_other
from timed_clone import TimedClone, copies, machine, timed_clone

from voiceclone.bases.base import load_base
from voiceclone.cloning.pipeline import PROJECTION
from voiceclone.data.dataset import load_dataset
from voiceclone.errors import VoicecloneError

MANY = 100  # training clips
EARLIER = ("--lr-projection", "1e-3", "--without", "student")
EARLIER_EPOCHS = 100
WALK_VOICES = 10_000


def main() -> int:
    """Parse, run, print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="dataset with the folders train and validation")
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--work", type=Path, required=True, help="folder for the voices and the larger dataset")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--earlier-epochs", type=int, default=6, help="epochs that the earlier recipe really runs")
    parser.add_argument("--walk-seconds", type=float, default=300.0, help="of the walk, its stock voices included")
    parser.add_argument("--rows", nargs="*", choices=("few", "many", "earlier", "walk"),
                        default=["few", "many", "earlier", "walk"])  # fmt: skip
    options = parser.parse_args()
    if options.earlier_epochs < 1:
        parser.error("--earlier-epochs: use 1 or more: the time of the others is projected from them")
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
        _print("default clone", _clone(options.data, "few", options))
    if "many" in options.rows:
        _print(f"default clone, {MANY} clips", _clone(_many(options.data, options.work), "many", options))
    if "earlier" in options.rows:
        count = options.earlier_epochs
        found = _clone(options.data, "earlier", options, *EARLIER, "--epochs-projection", str(count))
        _print(f"earlier recipe, {count} epochs", found)
        seconds = projected(found, count, EARLIER_EPOCHS)
        print(f"earlier recipe, {EARLIER_EPOCHS} epochs (projected): {seconds:.0f} s", flush=True)
    if "walk" in options.rows:
        each = walk_seconds(options.data, options.base, options.walk_seconds)
        print(f"random walk: {each:.2f} s a voice, {WALK_VOICES} voices (projected): {each * WALK_VOICES:.0f} s")


def walk_seconds(data: Path, base: str, seconds: float) -> float:
    """Seconds that each voice of a walk takes once the stock voices are ranked.

    Raises:
        VoicecloneError: the ranking took all the time.
    """
    loaded = load_base(base, offline=True)
    clips = load_dataset(data, lang="a", seed=0, vocab=loaded.kmodel.vocab).train
    score = HarmonicScore(loaded, *target_and_other(clips))
    each = random_walk(score, loaded.stock_voices.values(), seconds=seconds).each
    if math.isnan(each):
        raise VoicecloneError(f"--walk-seconds {seconds:g}: ranking the stock voices took all of it: give more")
    return each


def projected(found: TimedClone, epochs: int, of: int) -> float:
    """Seconds of a clone with ``of`` epochs, from one with ``epochs``."""
    return found.seconds + found.tasks[PROJECTION] * (of / epochs - 1.0)


def _clone(data: Path, name: str, options: argparse.Namespace, *flags: str) -> TimedClone:
    return timed_clone(data, name, *flags, base=options.base, out=options.work, threads=options.threads)


def _many(data: Path, work: Path) -> Path:
    train = data / "train" / "metadata.jsonl"
    count = sum(1 for line in train.read_text(encoding="utf-8").splitlines() if line.strip())
    return copies(data, work / f"{data.name}_{MANY}", math.ceil(MANY / count), at_most=MANY)


def _print(name: str, found: TimedClone) -> None:
    tasks = ", ".join(f"{task} {seconds:.0f} s" for task, seconds in found.tasks.items())
    rest = found.seconds - sum(found.tasks.values())
    figures = f"{found.seconds:.0f} s, peak {found.peak_gib:.2f} GiB ({tasks}, start and rest {rest:.0f} s)"
    print(f"{name}: {figures}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
