#!/usr/bin/env python3
"""Time, memory and operations of a step of fine-tuning, part by part, for several lengths of the decoder's utterance.

    OMP_NUM_THREADS=1 python benchmarks/finetuning_step.py --base kokoro --run RUN --frames 120 240

RUN is the folder of a fine-tuning of a base with Kokoro's voices, whose features are used. Prints processor seconds
(other work on the machine counts less than in wall time), tensors that are kept for the gradient, and floating-point
operations. A frame is 25 ms.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.finetune import finetune_settings
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.base_training.finetuned_voice import VoiceFinetuning, voices_of_speakers
from voiceclone.base_training.trainer import Trainer
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import STYLE_DIM

ROUNDS = 2  # the shorter time counts


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--run", type=Path, required=True, help="folder of a fine-tuning, for its features")
    parser.add_argument("--frames", type=int, nargs="+", default=[120, 240], help="of the decoder's utterance")
    parser.add_argument("--keep-all", action="store_true", help="no save_memory")
    parser.add_argument("--float32", action="store_true", help="no bfloat16")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    try:
        print("| frames | part | processor s | kept for the gradient, MB | operations, 1e9 |\n|---|---|---|---|---|")
        system = _system(options)
        for frames in options.frames:
            _measure(options, system, frames)
    except VoicecloneError as error:
        parser.error(str(error))
    return 0


def _measure(options: argparse.Namespace, system: VoiceFinetuning, frames: int) -> None:
    """Print the cost of the parts for the utterance whose length is nearest to ``frames``."""
    index = int(np.abs(system.corpus.frames - frames).argmin())
    frames, batch, objective = int(system.corpus.frames[index]), system.batches.fixed([index]), system.objective
    audio = torch.zeros_like(batch.audio)
    system.discriminators.requires_grad_(False)

    def decoder(adversarial: bool) -> Tensor:
        nonlocal audio
        terms, audio = objective.decoded(
            batch, batch.vectors[:, :STYLE_DIM], adversarial=adversarial, bandwidth=batch.bandwidth
        )
        return objective.total(terms)

    def predictor() -> Tensor:
        spoken = system.batches.prosody(0)
        return objective.total(objective.predicted(spoken, spoken.vectors[:, STYLE_DIM:]))

    def discriminators() -> Tensor:
        system.discriminators.requires_grad_(True)
        return objective.discriminate(batch, audio)

    parts: dict[str, Callable[[], Tensor]] = {
        "decoder": lambda: decoder(False),
        "decoder through the discriminators": lambda: decoder(True),
        "prosody predictor": predictor,
        "discriminators' own step": discriminators,
    }
    for name, loss in parts.items():
        seconds, kept, operations = _cost(loss, list(system.trained.parameters()))
        print(f"| {frames} | {name} | {seconds:.1f} | {kept / 1e6:.0f} | {operations / 1e9:.0f} |", flush=True)
    trainer = Trainer(system, options.run)
    seconds = min(_seconds(lambda: trainer._update(system.trained, trainer.optimizer)) for _ in range(ROUNDS))
    print(f"| {frames} | optimizer | {seconds:.1f} | | |")
    print(f"| {frames} | average | {min(_seconds(trainer._average) for _ in range(ROUNDS)):.1f} | | |", flush=True)


def _system(options: argparse.Namespace) -> VoiceFinetuning:
    """The base with the run's data, ready to train."""
    base = find_finetuned_base(options.base)
    values = {**finetune_settings(base), "steps": 1, "system_settings": {"finetune": options.base}}
    values.update({"bfloat16": False} if options.float32 else {})
    values.update({"save_memory": False} if options.keep_all else {})
    config = TrainConfig.from_json(values)
    corpus = Corpus([path.parent for path in sorted((options.run / "cache").glob("*/index.json"))])
    voices = voices_of_speakers(corpus, base, seed=config.seed)
    system = VoiceFinetuning(corpus, config, base, voices)
    system.initialize()
    system.speed_up()
    return system


def _cost(loss: Callable[[], Tensor], parameters: list[Tensor]) -> tuple[float, int, float]:
    """Processor seconds of a forward and backward pass, bytes that it keeps, and its operations."""
    own, kept = {parameter.untyped_storage().data_ptr() for parameter in parameters}, {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with FlopCounterMode(display=False) as counter:  # warms up as well
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            value = loss()
        value.backward()
        del value
    return (
        min(_seconds(lambda: loss().backward()) for _ in range(ROUNDS)),
        sum(kept.values()),
        counter.get_total_flops(),
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
