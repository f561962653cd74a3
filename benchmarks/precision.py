#!/usr/bin/env python3
"""Time and error of bfloat16 convolutions in a training step, compared with float32.

    OMP_NUM_THREADS=1 python benchmarks/precision.py --base kokoro

Both decode the same crops with the same noise in turn, and compute the gradient of the log-mel's mean square with
respect to the voice.
Prints processor seconds (other work on the machine counts less than in wall time), the difference of the log-mels
beside that of two draws of the source's noise, and the cosine of the gradients.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch
from torch import Tensor

from voiceclone.audio.features import LogMel
from voiceclone.bases.base import load_base
from voiceclone.distributed import convolution_dtype
from voiceclone.models.frozen_kokoro import STYLE_DIM, FrozenKokoro, SynthesizedUtterance, alignment_matrix
from voiceclone.text.g2p import Phonemizer

TEXT = "The boat came slowly round the bend, and everybody on the bank began to wave."
CROPS, FRAMES = 4, 48  # a step of the clone: frames of 25 ms


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    base = load_base(options.base, offline=True)
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    text = kokoro.text(Phonemizer("a").phonemes(TEXT))
    row = next(iter(base.stock_voices.values())).row(text.phoneme_count)
    spoken = kokoro.utter(text, row)
    aligned = text.acoustic_text @ alignment_matrix(spoken.durations)
    seconds: dict[torch.dtype | None, list[float]] = {None: [], torch.bfloat16: []}
    found = {}
    for _ in range(options.rounds + 1):  # the first round warms up
        for dtype in seconds:
            kokoro.convolutions = dtype
            started = time.process_time()
            found[dtype] = _step(kokoro, aligned, spoken, row, seed=0)
            seconds[dtype].append(time.process_time() - started)
    kokoro.convolutions = None
    other, _ = _step(kokoro, aligned, spoken, row, seed=1)
    (exact, exact_gradient), (near, near_gradient) = found[None], found[torch.bfloat16]
    single, half = (statistics.median(taken[1:]) for taken in seconds.values())
    auto = convolution_dtype("auto", torch.device("cpu"))
    print(f"{base.title}, {torch.get_num_threads()} threads, --precision auto takes {auto or torch.float32}")
    print(f"step of {CROPS} crops, processor time: float32 {single:.2f} s, bfloat16 {half:.2f} s, {single / half:.2f}x")
    print(f"log-mel: bfloat16 {_rms(near - exact):.4f} from float32, another draw of noise {_rms(other - exact):.4f}")
    print(f"gradient in the voice: cosine {torch.cosine_similarity(near_gradient, exact_gradient).item():.5f}")
    return 0


def _step(
    kokoro: FrozenKokoro, aligned: Tensor, spoken: SynthesizedUtterance, row: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """Log-mel ``(CROPS, 80, T)`` and the gradient ``(1, 128)`` in the timbre half."""
    leaf = row[:, :STYLE_DIM].clone().requires_grad_()
    torch.manual_seed(seed)
    audio = kokoro.decode(
        aligned[:, :, :FRAMES].expand(CROPS, -1, -1),
        spoken.f0[: 2 * FRAMES].expand(CROPS, -1),
        spoken.energy[: 2 * FRAMES].expand(CROPS, -1),
        leaf.expand(CROPS, -1),
    )
    mel = LogMel()(audio)
    return mel.detach(), torch.autograd.grad(mel.square().mean(), leaf)[0]


def _rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())


if __name__ == "__main__":
    sys.exit(main())
