"""Fit the source path of a student's generator to its teacher's: what each stage gets from the harmonic source.

Its only inputs are F0 and the acoustic style. Fitted alone, its error falls much faster than in the training of the
whole decoder: with 64 channels in the last stage the relative error was 0.40 after 200 steps, and 0.95 after 100 steps
of the whole decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from kokoro.istftnet import Generator
from torch import Tensor, nn

from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.distillation import waveform_error
from voiceclone.models.frozen_kokoro import STYLE_DIM

STEPS = 300
ROWS, FRAMES = 6, 60
"""Random stretches of F0 in each step, and their length in frames of 12.5 ms."""
LEARNING_RATE = 2e-3
WARMUP = 30
CONSTANT = 0.6
"""Fraction of the steps with a constant learning rate, followed by a cosine to 3 %."""


def fit_source_path(
    student: Generator,
    teacher: Generator,
    channels: Mapping[str, Tensor],
    corpus: Corpus,
    indices: list[int],
    *,
    seed: int,
    steps: int = STEPS,
    advance: Callable[[], None] = lambda: None,
) -> float:
    """Train ``noise_convs`` and ``noise_res`` of a student's generator; the mean relative error of the last tenth.

    Args:
        student: the narrow generator.
        teacher: the wide one, on the same device.
        channels: the teacher's channel for each of the student's, by tap ``generator.source.I``.
        corpus: with F0 and voice vectors.
        indices: the utterances to draw from. Those shorter than a stretch are left out.
        seed: of the draws.
        steps: optimizer steps.
        advance: called after each step.
    """
    paths = [nn.ModuleList([conv, block]) for conv, block in zip(student.noise_convs, student.noise_res, strict=True)]
    parameters = [parameter for path in paths for parameter in path.parameters()]
    device = parameters[0].device
    wanted = [channels[f"generator.source.{stage}"].to(device) for stage in range(len(paths))]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.98))
    rng = np.random.default_rng([seed, 2])
    usable = [index for index in indices if 2 * corpus.frames[index] > FRAMES]
    errors = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * _schedule(step, steps)
        f0, style = (values.to(device) for values in _draw(corpus, usable, rng))
        source = harmonic_source(teacher, f0)
        error = torch.stack([
            _error(student, teacher, stage, source, style, index) for stage, index in enumerate(wanted)
        ]).mean()  # fmt: skip
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        errors.append(float(error.detach()))
        advance()
    optimizer.zero_grad(set_to_none=True)
    return float(np.mean(errors[-max(steps // 10, 1) :]))


@torch.no_grad()
def harmonic_source(generator: Generator, f0: Tensor) -> Tensor:
    """Magnitudes and phases of Kokoro's harmonic source ``(B, 22, 1 + 60 T)`` for F0 in Hz ``(B, T)``."""
    samples = generator.f0_upsamp(f0[:, None]).transpose(1, 2)
    source, _, _ = generator.m_source(samples)
    return torch.cat(generator.stft.transform(source.transpose(1, 2).squeeze(1)), dim=1)


def _error(
    student: Generator, teacher: Generator, stage: int, source: Tensor, style: Tensor, channels: Tensor
) -> Tensor:
    with torch.autocast(source.device.type, dtype=torch.bfloat16):
        with torch.no_grad():
            wanted = teacher.noise_res[stage](teacher.noise_convs[stage](source), style)[:, channels]
        made = student.noise_res[stage](student.noise_convs[stage](source), style)
    return waveform_error(made.float(), wanted.float())


def _draw(corpus: Corpus, usable: list[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random stretches of F0 ``(B, T)`` and the acoustic styles ``(B, 128)`` of their utterances."""
    f0, styles = [], []
    for index in rng.choice(usable, size=ROWS):
        curve = corpus.f0(int(index))
        start = int(rng.integers(0, len(curve) - FRAMES + 1))
        f0.append(curve[start : start + FRAMES])
        styles.append(corpus.vector(int(index))[:STYLE_DIM])
    return torch.from_numpy(np.stack(f0)), torch.from_numpy(np.stack(styles))


def _schedule(step: int, steps: int) -> float:
    fall = max(step / steps - CONSTANT, 0.0) / (1.0 - CONSTANT)
    return min((step + 1) / WARMUP, 1.0) * (0.03 + 0.97 * 0.5 * (1.0 + np.cos(np.pi * fall)))
