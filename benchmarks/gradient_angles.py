#!/usr/bin/env python3
"""Cosine between a student's and its teacher's gradient with respect to the voice, for each half of the voice.

    python benchmarks/gradient_angles.py --run output/v --data SPEECH/librispeech_1688 --student nano

RUN is a finished clone on the teacher: the loss is differentiated in the voice that its training was initialized with,
half way to the finished one, and in that. Clips are aligned by the teacher, and both models get the same crops.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base, load_base
from voiceclone.data.dataset import load_dataset
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import STYLE_DIM, FrozenKokoro
from voiceclone.nets.phone_classifier import load_phone_classifier
from voiceclone.nets.resemblyzer import load_resemblyzer
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.objective import Objective, Speaker
from voiceclone.projection.targets import AlignedTarget, Unusable, align_all, level_gain, prepare_target, scale
from voiceclone.voice.profile import LengthProfile

HALVES = {"acoustic": slice(None, STYLE_DIM), "prosodic": slice(STYLE_DIM, None)}


def main() -> int:
    """Parse, differentiate on both models, print the cosines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="output folder of a finished clone on the teacher")
    parser.add_argument("--data", type=Path, required=True, help="the dataset it was made from")
    parser.add_argument("--student", default="nano")
    parser.add_argument("--teacher", default="kokoro")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--batches", type=int, default=4, help="of crops, over which the gradient is averaged")
    options = parser.parse_args()
    try:
        artifacts = torch.load(options.run / f"{options.run.name}_artifacts.pt", weights_only=True)
        teacher, student = load_base(options.teacher, offline=True), load_base(options.student, offline=True)
        clips = load_dataset(options.data, vocab=teacher.kmodel.vocab).train[: options.clips]
        first, last = artifacts["anchor"], artifacts["base_vector"]
        read = [(c.name, c.phonemes, read_audio(c.path)) for c in clips]
        targets = aligned_targets(teacher, read, last)
        objectives = [_objective(base, targets, [audio for _, _, audio in read]) for base in (teacher, student)]
        points = {"initialization": first, "half way": (first + last) / 2, "finished": last}
        print("| voice | acoustic half | prosodic half |\n|---|---|---|")
        for name, vector in points.items():
            ours, theirs = (_gradient(objective, vector, options.batches) for objective in objectives)
            cells = [float(torch.cosine_similarity(ours[:, half], theirs[:, half])) for half in HALVES.values()]
            print(f"| {name} | {cells[0]:.3f} | {cells[1]:.3f} |", flush=True)
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def aligned_targets(base: Base, clips: list[tuple[str, str, np.ndarray]], vector: Tensor) -> list[AlignedTarget]:
    """Clips (name, phonemes, audio ``(T,)`` at 24 kHz) aligned to the base's speech with a voice ``(1, 256)``."""
    kokoro, profile = FrozenKokoro(base.kmodel, torch.device("cpu")), LengthProfile.of(base.stock_voices.values())
    measured = [prepare_target(name, phonemes, audio, kokoro) for name, phonemes, audio in clips]
    usable = [target for target in measured if not isinstance(target, Unusable)]
    classifier = load_phone_classifier()

    def voice_of(count: int) -> Tensor:
        return profile.row(vector, count)

    aligned, spoken = align_all(usable, kokoro, voice_of, LogMel(), seed=0, phone_classifier=classifier)
    gain = level_gain(aligned, spoken)
    return [scale(target, gain) for target in aligned]


def _objective(base: Base, targets: list[AlignedTarget], clips: list[np.ndarray]) -> Objective:
    """The clone's loss on ``base``, with the default weights and without the clips' bandwidth.

    The text's features are the base's own, and the speaker's vector is that of the clips ``(T,)`` at their own level.
    """
    from dataclasses import replace

    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    own = [replace(target, text=kokoro.text(target.phonemes)) for target in targets]
    encoder = load_resemblyzer(torch.device("cpu"))
    if encoder is None:
        raise VoicecloneError("Resemblyzer is not installed")
    vectors = torch.from_numpy(np.stack([encoder.embed(clip) for clip in clips]))
    speaker = Speaker(encoder=encoder, vector=torch.nn.functional.normalize(vectors.mean(0), dim=0))
    return Objective(
        own,
        kokoro,
        LengthProfile.of(base.stock_voices.values()),
        crop_frames=ProjectionConfig().crop_frames,
        speaker=speaker,
        phone_classifier=load_phone_classifier(),
        free_running=True,
    )


def _gradient(objective: Objective, vector: Tensor, batches: int) -> Tensor:
    """Mean gradient ``(1, 256)`` over batches of crops that depend on the batch's number alone."""
    config, total = ProjectionConfig(), torch.zeros_like(vector)
    for number in range(batches):
        leaf = vector.clone().requires_grad_()
        crops = objective.random_crops(config.batch, np.random.default_rng(number))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            objective.total(objective.terms(leaf, crops), config.weights).backward()
        total += leaf.grad
    return total / batches


if __name__ == "__main__":
    sys.exit(main())
