"""Speed and memory: ratios measured within one run.

    python benchmarks/speed.py FIGURE... --work WORK [--threads 2]

FIGURE is one or more of: step, naive, walk, styles, startup, say. Each adds its result to WORK/speed.json; the
table of all results is printed at the end. ``naive`` and ``walk`` work on the embedded base, which is trained;
the others on a model of the real Kokoro's size with random weights (made in WORK once).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from full_size import full_size_base
from speed_training import naive, step, walk
from timed_clone import machine

from voiceclone.data.demo import make_demo_dataset
from voiceclone.files import write_json

REPEATS = 5
SENTENCES = (
    "Good morning. The train to the coast leaves at half past nine, and the weather will be fine. "
    "Would you like to come along? We could walk on the beach, and be back before it is dark."
)


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--walk-seconds", type=float, help="of the random walk (default: 20 times the clone's)")
    options = parser.parse_args()
    if unknown := sorted(set(options.figures) - set(FIGURES)):
        parser.error(f"{unknown[0]}: use {', '.join(FIGURES)}")
    torch.set_num_threads(options.threads)
    path = options.work / "speed.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    for name in options.figures:
        print(f"{name} ...", file=sys.stderr, flush=True)
        more = {"seconds": options.walk_seconds} if name == "walk" else {}
        found = FIGURES[name](options.work, **more)
        results[name] = {**found, "threads": options.threads, "machine": machine()}
        write_json(path, results)
    for name, found in results.items():
        print(name, json.dumps(found))
    return 0


def demo_data(work: Path) -> Path:
    """The demo dataset, spoken once."""
    folder = work / "demo"
    if not (folder / "train" / "metadata.jsonl").is_file():
        make_demo_dataset(folder)
    return folder


def styles(work: Path) -> dict[str, float]:
    """Stage 1: seconds of audio per second, reading and front end included, with encoders of the real widths."""
    from functools import partial

    import soundfile

    from voiceclone.audio.io import read_audio
    from voiceclone.bases.base import load_base
    from voiceclone.style.extraction import extract_styles

    base = load_base(str(full_size_base(work / "full")), offline=True)
    paths = sorted((demo_data(work) / "train").glob("*.wav"))
    clips = [(path.name, partial(read_audio, path)) for path in paths]
    seconds = sum(soundfile.info(path).duration for path in paths)
    extract_styles(clips[:1], base.style_encoders, device=torch.device("cpu"))  # libraries load at the first call
    spent = best_of(lambda: extract_styles(clips, base.style_encoders, device=torch.device("cpu")), 3)
    return {"audio_seconds": seconds, "seconds": spent, "times_real_time": seconds / spent}


def startup(work: Path) -> dict[str, float]:
    """Seconds of ``--help`` and of ``import voiceclone``, Python's own start included."""
    run = [sys.executable, "-c"]
    return {
        "help_seconds": best_of(lambda: _call([sys.executable, "training_styletts2.py", "--help"]), REPEATS),
        "import_seconds": best_of(lambda: _call([*run, "import voiceclone"]), REPEATS),
        "python_seconds": best_of(lambda: _call([*run, "pass"]), REPEATS),
    }


def say(work: Path) -> dict[str, float]:
    """``voiceclone say`` compared with KPipeline called directly, same text and voice, in turns."""
    from kokoro import KPipeline

    from voiceclone.bases.base import load_base
    from voiceclone.voice.speaking import deliver, speak

    base = load_base(str(full_size_base(work / "full")), offline=True)
    pack = next(iter(base.stock_voices.values()))
    pipeline: KPipeline = base.pipeline("a")

    def ours() -> tuple[float, float, float]:
        delivery = deliver(speak(pipeline, SENTENCES, pack.tensor, speed=1.0, seed=0), lambda audio: None)
        return delivery.first_audio_seconds, delivery.real_time_factor, delivery.seconds

    def direct() -> tuple[float, float, float]:
        started, first, seconds = time.perf_counter(), math.inf, 0.0
        torch.manual_seed(0)
        for result in pipeline(SENTENCES, voice=pack.tensor):
            first = min(first, time.perf_counter() - started)
            seconds += len(result.audio) / 24000
        return first, (time.perf_counter() - started) / seconds, seconds

    direct(), ours()  # libraries load at the first call
    rounds = [(ours(), direct()) for _ in range(3)]
    (first, factor, _), (first_direct, factor_direct, _) = (
        [min(values) for values in zip(*side)] for side in zip(*rounds)
    )
    return {
        "first_audio_seconds": first, "first_audio_seconds_direct": first_direct,
        "real_time_factor": factor, "real_time_factor_direct": factor_direct, "ratio": factor / factor_direct,
    }  # fmt: skip


def best_of(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of ``repeats`` calls: other programs can only make a call slower."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).resolve().parents[1])


FIGURES: dict[str, Callable[..., Mapping[str, float | None]]] = {
    "step": lambda work: step(full_size_base(work / "full"), demo_data(work)),
    "naive": lambda work: naive(demo_data(work), work),
    "walk": lambda work, seconds: walk(demo_data(work), work, seconds),
    "styles": styles,
    "startup": startup,
    "say": say,
}

if __name__ == "__main__":
    sys.exit(main())
