"""Compare the memory of a clone from a large dataset with that from a small one; then add a clip of one hour."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

REPOSITORY = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

SMALL = 100  # clips of the run that the large one is held against
KEPT = 60  # clips that stage 1 and stage 2 use at most
RATE = 24_000  # Hz
GROWTH = 10.0  # percent that the peak may grow by


def material(folder: Path) -> list[tuple[np.ndarray, str]]:
    """The demo dataset's sentences: audio ``(T,)`` at 24 kHz and text."""
    from voiceclone.data.demo import make_demo_dataset
    from voiceclone.data.metadata import read_dataset

    entries = read_dataset(make_demo_dataset(folder, clips=24))["train"]
    return [(soundfile.read(entry.path, dtype="float32")[0], entry.text) for entry in entries]


def write_clips(folder: Path, spoken: list[tuple[np.ndarray, str]], count: int, seconds: float) -> float:
    """A dataset of ``count`` clips of about ``seconds`` each; hours of audio in all."""
    (folder / "train").mkdir(parents=True)
    chance, samples = np.random.default_rng([count, 5]), 0
    with (folder / "train" / "metadata.jsonl").open("w", encoding="utf-8") as listing:
        for number in range(count):
            audio, text = _one_clip(spoken, seconds, chance)
            soundfile.write(folder / "train" / f"{number:05d}.wav", audio, RATE, subtype="PCM_16")
            listing.write(json.dumps({"file_name": f"{number:05d}.wav", "text": text}) + "\n")
            samples += len(audio)
    return samples / RATE / 3600


def _one_clip(spoken: list[tuple[np.ndarray, str]], seconds: float, chance: np.random.Generator) -> tuple:
    """Sentences in a row until the length is reached, with pauses, at a level and with noise of its own."""
    pieces, texts, length = [], [], 0
    while length < 0.8 * seconds * RATE:
        audio, text = spoken[int(chance.integers(len(spoken)))]
        pause = np.zeros(int(RATE * chance.uniform(0.1, 0.4)), np.float32)
        pieces += [audio, pause]
        texts.append(text)
        length += len(audio) + len(pause)
    joined = np.concatenate(pieces)
    noise = 1e-4 * chance.standard_normal(len(joined)).astype(np.float32)
    return np.clip(joined * chance.uniform(0.5, 1.2) + noise, -1, 1), " ".join(texts)


def add_long_clip(folder: Path, spoken: list[tuple[np.ndarray, str]], hours: float) -> None:
    """One more clip, of ``hours``, in the dataset."""
    hour = np.tile(np.concatenate([audio for audio, _ in spoken]), 1 + int(hours * 3600 * RATE / 40 / RATE))
    soundfile.write(folder / "train" / "long.wav", hour[: int(hours * 3600 * RATE)], RATE, subtype="PCM_16")
    with (folder / "train" / "metadata.jsonl").open("a", encoding="utf-8") as listing:
        listing.write(json.dumps({"file_name": "long.wav", "text": "One hour of speech."}) + "\n")


def clone(data: Path, out: Path, base: str) -> dict[str, Any]:
    """One run in a process of its own: peak memory, seconds, and what was said about the clips."""
    command = [sys.executable, str(REPOSITORY / "training_styletts2.py"), "--data", str(data), "--name", "v",
               "--out", str(out), "--base", base, "--offline", "--device", "cpu", "--epochs-projection", "2",
               "--max-training-clips", str(KEPT), "--max-style-samples", str(KEPT),
               "--without", "initialization,blend,speaker"]  # fmt: skip
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"the run on {data} ended with {process.returncode}:\n{log.read()[-3000:]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    report = json.loads((out / "v" / "dataset_report.json").read_text())
    return {
        "peak_mib": round(usage.ru_maxrss / unit, 1),
        "seconds": round(time.monotonic() - started),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime),
        "kept": sum(report["summary"]["kept"].values()),
        "skipped": {clip["name"]: clip["reason"] for clip in report["clips"] if clip["status"] == "skipped"},
    }


def main() -> int:
    """Make the datasets, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=7.2, help="length of a clip, about")
    parser.add_argument("--long", type=float, default=1.0, help="hours of the long clip")
    parser.add_argument("--base", default="tiny", help="nano, a base folder, or tiny: one with random weights")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="large-") as made:
        folder = Path(made)
        base = options.base
        if base == "tiny":
            from support import write_base

            base = str(write_base(folder / "base"))
        spoken = material(folder / "demo")
        write_clips(folder / "small", spoken, SMALL, options.seconds)
        started = time.monotonic()
        hours = write_clips(folder / "large", spoken, options.clips, options.seconds)
        made_in = time.monotonic() - started
        print(f"{options.clips} clips, {hours:.2f} h, made in {made_in:.0f} s", file=sys.stderr, flush=True)
        runs = {}
        for name in ("small", "large"):
            runs[name] = clone(folder / name, folder / f"out-{name}", base)
            print(f"{name}: {runs[name]}"[:300], file=sys.stderr, flush=True)
        add_long_clip(folder / "small", spoken, options.long)
        runs["with a long clip"] = clone(folder / "small", folder / "out-long", base)
    small, large, with_long = runs.values()
    growth = 100 * (large["peak_mib"] / small["peak_mib"] - 1)
    refused = with_long.pop("skipped").get("long.wav", "it was used")
    facts = {"clips": options.clips, "hours": round(hours, 2), "growth_percent": round(growth, 1), "long_clip": refused}
    for run in (small, large):
        run["skipped"] = len(run["skipped"])
    print(json.dumps({**facts, "runs": runs}))
    return int(growth > GROWTH or "too long" not in refused or with_long["peak_mib"] > 1.1 * small["peak_mib"])


if __name__ == "__main__":
    sys.exit(main())
