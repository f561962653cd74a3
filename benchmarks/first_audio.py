#!/usr/bin/env python3
"""Seconds from a fresh process to the first audio on the real Kokoro: ``voiceclone say`` beside ``kokoro.KPipeline``.

    python benchmarks/first_audio.py

Each run is a separate process, both in turn; imports and loading are included. KPipeline gets the same weights as a
.pth file, through ``kokoro.KModel``'s own loading, and the same G2P.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEXT = "Hello! This sentence is the first to be heard."
DIRECT = """
import sys
from kokoro import KModel
from voiceclone.text.g2p import build_pipeline
from voiceclone.voice.official import official_voice
model = KModel(config=sys.argv[1], model=sys.argv[2], repo_id="hexgrad/Kokoro-82M").eval()
pipeline = build_pipeline("a", model)
next(iter(pipeline(sys.argv[3], voice=official_voice("af_heart").tensor))).audio.numpy()
print("audio", flush=True)
"""
SAY = """
import sys
from voiceclone.cli import main, say
import voiceclone.voice.speaking as speaking
deliver = speaking.deliver
def first(pieces, write):
    def written(audio):
        write(audio)
        print("audio", flush=True, file=sys.__stdout__)
    return deliver(pieces, written)
speaking.deliver = first
main.main(["say", sys.argv[1], "--voice", "af_heart", "--base", "kokoro", "--offline", "--quiet", "--out", sys.argv[2]])
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    from voiceclone.bases.kokoro_weights import weights_at_hand
    from voiceclone.models.presets import KOKORO_CONFIG

    weights = weights_at_hand()
    if weights is None:
        print("error: Kokoro-82M is not cached: run `voiceclone download`", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        nested = _as_pth(weights.path, Path(folder) / "kokoro.pth")
        direct, say = [], []
        for run in range(options.runs + 1):  # the first fills the disk cache and is not counted
            seconds = _first_audio(DIRECT, str(KOKORO_CONFIG), str(nested), TEXT)
            own = _first_audio(SAY, TEXT, str(Path(folder) / f"{run}.wav"))
            if run:
                direct.append(seconds)
                say.append(own)
    ratio = statistics.median(say) / statistics.median(direct)
    print(f"KPipeline {statistics.median(direct):.2f} s, say {statistics.median(say):.2f} s, ratio {ratio:.2f}")
    return 0


def _first_audio(code: str, *arguments: str) -> float:
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, *arguments], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "audio":
                seconds = time.perf_counter() - started
                process.stdout.read()
                return seconds
    raise RuntimeError("no audio came")


def _as_pth(source: Path, target: Path) -> Path:
    import torch

    from voiceclone.models.checkpoint import PARTS, read_state

    nested: dict[str, dict[str, torch.Tensor]] = {part: {} for part in PARTS}
    for key, value in read_state(source).items():
        part, rest = key.split(".", 1)
        nested[part][rest] = value
    torch.save(nested, target)
    return target


if __name__ == "__main__":
    sys.exit(main())
