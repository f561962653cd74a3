#!/usr/bin/env python3
"""Time, memory and operations of a step of fine-tuning, part by part, for several sizes of the batch.

    OMP_NUM_THREADS=1 python benchmarks/finetuning_step.py --base kokoro --run RUN --rows 4 8

RUN is the folder of a fine-tuning, whose features are used. Prints, for each number of rows, processor seconds (other
work on the machine counts less than in wall time), tensors that are kept for the gradient, and floating-point
operations. Rows of the decoder are crops of 0.8 s, those of the prosody predictor utterances.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.finetune import finetune_settings
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.trainer import Trainer
from voiceclone.errors import VoicecloneError

ROUNDS = 2  # the shorter time counts


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--run", type=Path, required=True, help="folder of a fine-tuning, for its features")
    parser.add_argument("--rows", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--float32", action="store_true", help="no bfloat16")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    try:
        print("| rows | part | processor s | kept for the gradient, MB | operations, 1e9 |\n|---|---|---|---|---|")
        for rows in options.rows:
            _measure(options, rows)
    except VoicecloneError as error:
        parser.error(str(error))
    return 0


def _measure(options: argparse.Namespace, rows: int) -> None:
    base = find_finetuned_base(options.base)
    values = {**finetune_settings(base), "steps": 1, "crop_batch": rows, "prosody_batch": rows}
    values.update({"bfloat16": False} if options.float32 else {}, system_settings={"finetune": options.base})
    config = TrainConfig.from_json(values)
    caches = [path.parent for path in sorted((options.run / "cache").glob("*/index.json"))]
    system = RecordedSystem(Corpus(caches), config)
    system.initialize_from_base(base)
    system.begin_step(0.0)
    trainer = Trainer(system, options.run)
    if config.bfloat16:
        system.speed_up()
    objective, batch = system.objective, system.batches.acoustic(0)
    audio = torch.zeros_like(batch.audio)
    system.discriminators.requires_grad_(False)

    def decoder(adversarial: bool) -> Tensor:
        nonlocal audio
        terms, audio = objective.acoustic(batch, adversarial=adversarial)
        return objective.total(terms)

    def discriminators() -> Tensor:
        system.discriminators.requires_grad_(True)
        return objective.discriminate(batch, audio)

    parts: dict[str, Callable[[], Tensor]] = {
        "decoder": lambda: decoder(False),
        "decoder through the discriminators": lambda: decoder(True),
        "prosody predictor": lambda: objective.total(objective.prosody(system.batches.prosody(0))),
        "discriminators' own step": discriminators,
    }
    for name, loss in parts.items():
        seconds, kept, operations = _cost(loss, list(system.trained.parameters()))
        print(f"| {rows} | {name} | {seconds:.1f} | {kept / 1e6:.0f} | {operations / 1e9:.0f} |", flush=True)
    seconds = min(_seconds(lambda: trainer._update(system.trained, trainer.optimizer)) for _ in range(ROUNDS))
    print(f"| {rows} | optimizer | {seconds:.1f} | | |")
    print(f"| {rows} | average | {min(_seconds(trainer._average) for _ in range(ROUNDS)):.1f} | | |", flush=True)


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
