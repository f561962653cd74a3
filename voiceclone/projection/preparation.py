"""From clips to the first state of a training: targets, level, start and first alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from voiceclone.audio.features import LogMel
from voiceclone.projection.forward import FrozenKokoro
from voiceclone.projection.objective import Objective
from voiceclone.projection.start import Start, nearest_start, neutral_start
from voiceclone.projection.state import TrainingState
from voiceclone.projection.targets import Target, Unusable, align_all, level_gain, prepare_target, scale
from voiceclone.projection.trainer import ProjectionConfig
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import LengthProfile

if TYPE_CHECKING:
    from voiceclone.tracking.progress import Progress, Reporter

START_CROPS = 3  # clips that the stock voices are compared on


def prepare_targets(
    clips: Sequence[tuple[str, str, Callable[[], np.ndarray]]],
    kokoro: FrozenKokoro,
    *,
    advance: Callable[[], None],
    warn: Callable[[str], None],
) -> list[Target]:
    """Measure clips, given as (name, phonemes, function that reads the audio); ``warn`` hears why one is left out."""
    targets = []
    for name, phonemes, read in clips:
        result = prepare_target(name, phonemes, read(), kokoro)
        if isinstance(result, Unusable):
            warn(f"{result.name}: not used for the projection: {result.reason}")
        else:
            targets.append(result)
        advance()
    return targets


def first_state(
    config: ProjectionConfig,
    kokoro: FrozenKokoro,
    stock: Mapping[str, VoicePack],
    profile: LengthProfile,
    train: Sequence[Target],
    validation: Sequence[Target],
    *,
    reporter: Reporter,
) -> TrainingState:
    """Align against a neutral voice, set the level, choose the start among the stock voices, align against that."""
    neutral = neutral_start(stock)
    log_mel = LogMel().to(kokoro.device)

    def align_to(start: Start, targets: Sequence[Target], task: Progress) -> tuple[list[Target], list[Tensor]]:
        return align_all(
            targets,
            kokoro,
            start.rows(profile, kokoro.device),
            log_mel,
            seed=config.seed,
            advance=lambda: task.advance(1),
        )

    steps = 2 * len(train) + len(validation) + len(stock) + 1
    with reporter.task("Start and alignment", total=steps) as task:
        aligned, spoken = align_to(neutral, train, task)
        gain = level_gain(aligned, spoken)
        aligned = [scale(target, gain) for target in aligned]
        objective = Objective(
            aligned,
            kokoro,
            profile,
            crop_frames=min([config.crop_frames, *(target.frames for target in aligned)]),
            anchor=neutral.vector.to(kokoro.device),
            spread=neutral.spread.to(kokoro.device),
        )
        crops = objective.middle_crops()[:START_CROPS]
        start = nearest_start(stock, neutral, objective, crops=crops, seed=config.seed, advance=lambda: task.advance(1))
        splits = {"train": align_to(start, train, task)[0], "validation": align_to(start, validation, task)[0]}
    return TrainingState(
        gain=gain,
        anchor=start.vector,
        spread=start.spread,
        timbre_from=start.timbre_from,
        prosody_from=start.prosody_from,
        alignments={f"{split}/{target.name}": target.alignment for split, done in splits.items() for target in done},
    )
