"""From clips to the initial state of a training: targets, level, initialization and alignments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import LogMel, crop_length
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import PhoneClassifier
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.initialization import (
    Initialization,
    best_initialization,
    free_running_phones,
    neutral_initialization,
    search_steps,
)
from voiceclone.projection.misfits import OwnPhones, misaligned, named, own_phones, unfitting_clips
from voiceclone.projection.mlp import Projection
from voiceclone.projection.objective import Objective, Speaker
from voiceclone.projection.state import AFRESH, TrainingState
from voiceclone.projection.stock_table import StockTable, shortlist
from voiceclone.projection.targets import (
    AlignedTarget,
    Target,
    Unusable,
    align_all,
    level_gain,
    prepare_target,
    read_by,
    scale,
)
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile

if TYPE_CHECKING:
    from voiceclone.tracking.progress import Progress, Reporter

NEUTRAL_CLIPS = 8  # maximum number of clips that are aligned to the neutral voice: for level and initialization only
INITIALIZATION_CROPS = 4  # number of clips on which candidates are compared
MIN_PHONE_ACCURACY = 0.5  # minimum accuracy of the phone classifier on the mean stock voice for its term to be used


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Inputs of the initial state."""

    kokoro: FrozenKokoro
    student: FrozenKokoro | None = None
    """A small model of the base's voice space that aligns and initializes in the base's place, which is much faster."""
    stock: Mapping[str, VoicePack]
    profile: LengthProfile
    train: Sequence[Target] = field(repr=False)
    validation: Sequence[Target] = field(repr=False)
    speaker: Speaker | None = None
    phone_classifier: PhoneClassifier | None = None
    table: StockTable | None = None
    zero_shot: Tensor | None = None  # (1, 256): voice estimated without training, for bases whose styles are voices


def prepare_targets(
    clips: Sequence[tuple[str, str, Callable[[], np.ndarray], float]],
    kokoro: FrozenKokoro,
    *,
    advance: Callable[[], None],
    warn: Callable[[str], None],
) -> list[Target]:
    """Compute the training targets of clips.

    Args:
        clips: ``(name, phonemes, function that reads the audio, bandwidth in Hz)``.
        kokoro: the base.
        advance: called after each clip.
        warn: called with the reason for each clip that is left out.
    """
    targets = []
    for name, phonemes, read, bandwidth in clips:
        result = prepare_target(name, phonemes, read(), kokoro, bandwidth=bandwidth)
        if isinstance(result, Unusable):
            warn(f"{result.name}: not used for the projection: {result.reason}")
        else:
            targets.append(result)
        advance()
    return targets


def first_state(config: ProjectionConfig, material: Material, *, reporter: Reporter) -> TrainingState:
    """Align some clips to a neutral voice, set the level, initialize, align all to that voice, drop misaligned clips.

    Raises:
        VoicecloneError: no clip of a split aligns.
    """
    m = _read_by_student(material)
    neutral = neutral_initialization(m.stock)
    log_mel = LogMel().to(m.kokoro.device)
    own = _own_phones(material, neutral, config.seed)
    accuracy = own.accuracy
    phone_classifier = m.phone_classifier if classifier_is_reliable(accuracy) else None

    def align_to(
        voice: Initialization, targets: Sequence[Target], task: Progress
    ) -> tuple[list[AlignedTarget], list[Tensor]]:
        return align_all(
            targets,
            m.kokoro,
            voice.rows(m.profile, m.kokoro.device),
            log_mel,
            seed=config.seed,
            phone_classifier=phone_classifier,
            warp="alignment" not in config.without,
            advance=lambda: task.advance(1),
        )

    searched = shortlist(m.stock, m.table, m.train, m.speaker)
    first = list(m.train)[:NEUTRAL_CLIPS]
    steps = len(first) + len(m.train) + len(m.validation)
    steps += search_steps(len(searched), free_running=config.free_running)
    steps += 0 if m.zero_shot is None else 2  # it is a candidate for both halves
    if m.phone_classifier is not None and phone_classifier is None:
        reporter.info(
            f"phone classifier: {accuracy:.0%} of the frames right on this speaker, so the term 'phones' is left out"
        )
    with reporter.task("Initialization and alignment", total=steps) as task:
        aligned, spoken = _fitting(config, own.gap, *align_to(neutral, first, task))
        gain = level_gain(aligned, spoken)
        initialization = _initialize(
            config,
            replace(m, phone_classifier=phone_classifier, stock=searched),
            aligned,
            gain,
            lambda: task.advance(1),
        )
        if m.kokoro is not material.kokoro and initialization.best_stock and phone_classifier is not None:
            phones = _phones_on_base(config, material, initialization.best_stock, aligned, gain)
            initialization = replace(initialization, phones_stock=phones)
        splits = {
            "train": align_to(initialization, m.train, task)[0],
            "validation": align_to(initialization, m.validation, task)[0],
        }
    dropped = {} if _keeps_all(config) else misaligned(splits, own.gap)
    for name, reason in dropped.items():
        reporter.warn(f"{name}: not used for the projection: {reason}")
    return TrainingState(
        gain=gain,
        anchor=initialization.vector,
        timbre_from=initialization.timbre_from,
        prosody_from=initialization.prosody_from,
        best_stock=initialization.best_stock,
        phone_accuracy=accuracy,
        phones_stock=initialization.phones_stock,
        candidates=dict(initialization.candidates),
        dropped=dropped,
        projection=_first_network(config, initialization),
        alignments={name: target.alignment for name, target in named(splits) if name not in dropped},
    )


def _keeps_all(config: ProjectionConfig) -> bool:
    return config.plain or "alignment" in config.without


def _fitting(
    config: ProjectionConfig, own_gap: float, aligned: list[AlignedTarget], spoken: list[Tensor]
) -> tuple[list[AlignedTarget], list[Tensor]]:
    """The clips that fit their transcripts.

    Raises:
        VoicecloneError: none does. Found here, this costs seconds; after the initialization, minutes.
    """
    dropped = {} if _keeps_all(config) else unfitting_clips({"train": aligned}, own_gap)
    fits = [f"train/{target.name}" not in dropped for target in aligned]
    if not any(fits):
        raise VoicecloneError(
            f"none of the first {len(aligned)} train clips fits its transcript: check the texts of the metadata"
        )
    return list(compress(aligned, fits)), list(compress(spoken, fits))


def classifier_is_reliable(phone_accuracy: float) -> bool:
    """True where the phone classifier's accuracy on a base's speech is high enough for its term to be used."""
    return phone_accuracy >= MIN_PHONE_ACCURACY


def usable(targets: Sequence[Target], split: str, state: TrainingState) -> list[AlignedTarget]:
    """The targets that were not dropped, with the level and alignments of ``state``.

    Raises:
        VoicecloneError: an alignment is missing or does not fit its clip.
    """
    found = []
    for target in targets:
        name = f"{split}/{target.name}"
        if name in state.dropped:
            continue
        alignment = state.alignments.get(name)
        durations = [] if alignment is None else alignment.durations.tolist()
        if alignment is None or (len(durations), sum(durations)) != (target.text.tokens, target.frames):
            raise VoicecloneError(f"the checkpoint's alignment of {target.name} does not fit the clip: {AFRESH}")
        found.append(scale(target.with_alignment(alignment), state.gain))
    return found


def _read_by_student(material: Material) -> Material:
    """The same inputs for the student model, where there is one."""
    student = material.student
    if student is None:
        return material
    return replace(
        material,
        kokoro=student,
        train=[read_by(target, student) for target in material.train],
        validation=[read_by(target, student) for target in material.validation],
    )


def _phones_on_base(
    config: ProjectionConfig, material: Material, stock: str, aligned: Sequence[AlignedTarget], gain: float
) -> float:
    """The term ``phones`` of a stock voice on the base itself, because the student's value differs from the base's.

    ``aligned`` are some of the training clips.
    """
    clips = {target.name: target for target in material.train}
    own = [clips[done.name].with_alignment(done.alignment) for done in aligned]
    objective = _objective(config, material, own, gain)
    return free_running_phones(objective, material.stock[stock].tensor[REFERENCE_ROW], config.seed)


def _objective(config: ProjectionConfig, m: Material, train: Sequence[AlignedTarget], gain: float) -> Objective:
    return Objective(
        [scale(target, gain) for target in train],
        m.kokoro,
        m.profile,
        crop_frames=crop_length(config.crop_frames, [target.frames for target in train]),
        speaker=m.speaker,
        phone_classifier=m.phone_classifier,
        free_running=config.free_running,
    )


def _initialize(
    config: ProjectionConfig,
    m: Material,
    train: Sequence[AlignedTarget],
    gain: float,
    advance: Callable[[], None],
) -> Initialization:
    """The initialization by the recipe: neutral, or the best candidate on a few clips."""
    if config.plain or "initialization" in config.without:
        return neutral_initialization(m.stock)
    objective = _objective(config, m, train, gain)
    return best_initialization(
        m.stock,
        objective,
        crops=objective.middle_crops()[:INITIALIZATION_CROPS],
        weights=config.weights,
        zero_shot=m.zero_shot,
        left_out=config.without,
        seed=config.seed,
        advance=advance,
    )


def _own_phones(m: Material, initialization: Initialization, seed: int) -> OwnPhones:
    """The phone classifier on the base's speech of a few clips' texts; nothing right without a classifier."""
    if m.phone_classifier is None:
        return OwnPhones(accuracy=0.0, gap=0.0)
    texts = [target.text for target in m.train[:INITIALIZATION_CROPS]]
    return own_phones(m.kokoro, m.phone_classifier, texts, initialization.rows(m.profile, m.kokoro.device), seed)


def _first_network(config: ProjectionConfig, initialization: Initialization) -> dict[str, Tensor]:
    """Network weights that map every style to the initialization; random ones for the plain recipe."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        projection = Projection(config.mlp)
    if not config.plain:
        projection.initialize_at(initialization.vector)
    return {name: value.clone() for name, value in projection.state_dict().items()}
