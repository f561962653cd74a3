"""From clips to the first state of a training: targets, level, start and first alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import LogMel, crop_length
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import Listener, frame_labels, share_heard
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.mlp import Projection
from voiceclone.projection.objective import Objective, Speaker
from voiceclone.projection.prior import zero_shot
from voiceclone.projection.start import Start, best_start, neutral_start, search_steps, whitening
from voiceclone.projection.state import TrainingState
from voiceclone.projection.stock_table import StockTable, shortlist
from voiceclone.projection.targets import Target, Unusable, align_all, level_gain, prepare_target, scale
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import LengthProfile

if TYPE_CHECKING:
    from voiceclone.tracking.progress import Progress, Reporter

START_CROPS = 4  # clips that possible starts are compared on
MIN_SCORE_MARGIN = 0.10  # alignment score below the median of the clips at which a clip is dropped, at least
SCORE_DEVIATIONS = 2.5  # the same in robust standard deviations: the larger of both counts
MIN_HEARD = 0.5  # share of the phones of the mean stock voice that the listener has to hear for its term to be used
MIN_FOR_DROPPING = 5  # clips below which no median can be trusted


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What a first state is made from."""

    kokoro: FrozenKokoro
    stock: Mapping[str, VoicePack]
    profile: LengthProfile
    train: Sequence[Target] = field(repr=False)
    validation: Sequence[Target] = field(repr=False)
    styles: Tensor = field(repr=False)  # (clips, 256)
    prior: Projection | None = None
    speaker: Speaker | None = None
    listener: Listener | None = None
    table: StockTable | None = None
    zero_shot: Tensor | None = None  # (1, 256): a voice without training, where stage 1 gives one by itself


def prepare_targets(
    clips: Sequence[tuple[str, str, Callable[[], np.ndarray], float]],
    kokoro: FrozenKokoro,
    *,
    advance: Callable[[], None],
    warn: Callable[[str], None],
) -> list[Target]:
    """Measure clips: (name, phonemes, function that reads the audio, bandwidth in Hz).

    ``warn`` hears why one is left out.
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
    """Align against a neutral voice, set the level, choose the start, align against that, drop what does not align.

    Raises:
        VoicecloneError: no clip of a split aligns.
    """
    m = material
    neutral = neutral_start(m.stock)
    log_mel = LogMel().to(m.kokoro.device)
    heard = 0.0 if m.listener is None else _phones_heard(m, neutral, config.seed)
    listener = m.listener if listens(heard) else None

    def align_to(start: Start, targets: Sequence[Target], task: Progress) -> tuple[list[Target], list[Tensor]]:
        return align_all(
            targets,
            m.kokoro,
            start.rows(m.profile, m.kokoro.device),
            log_mel,
            seed=config.seed,
            listener=listener,
            warp="alignment" not in config.without,
            advance=lambda: task.advance(1),
        )

    searched = shortlist(m.stock, m.table, m.train, m.speaker)
    steps = 2 * len(m.train) + len(m.validation) + search_steps(len(searched), free=config.free)
    steps += 0 if m.zero_shot is None else 2  # it is tried for either half
    if m.listener is not None and listener is None:
        reporter.info(f"the listener hears {heard:.0%} of this base's phones: the term 'phones' is left out")
    with reporter.task("Start and alignment", total=steps) as task:
        aligned, spoken = align_to(neutral, m.train, task)
        gain = level_gain(aligned, spoken)
        white = whitening(m.stock)
        start = _start(
            config,
            replace(m, listener=listener, stock=searched),
            [scale(t, gain) for t in aligned],
            white,
            lambda: task.advance(1),
        )
        splits = {"train": align_to(start, m.train, task)[0], "validation": align_to(start, m.validation, task)[0]}
    dropped = {} if config.plain or "alignment" in config.without else misaligned(splits)
    for name, reason in dropped.items():
        reporter.warn(f"{name}: not used for the projection: {reason}")
    return TrainingState(
        gain=gain,
        anchor=start.vector,
        whitening=white,
        timbre_from=start.timbre_from,
        prosody_from=start.prosody_from,
        best_stock=start.best_stock,
        phones_heard=heard,
        phones_stock=start.phones_stock,
        candidates=dict(start.candidates),
        dropped=dropped,
        projection=_first_network(config, m, start),
        alignments={
            f"{split}/{target.name}": target.alignment
            for split, done in splits.items()
            for target in done
            if f"{split}/{target.name}" not in dropped
        },
    )


def listens(phones_heard: float) -> bool:
    """Whether the listener understands a base well enough for its term to help."""
    return phones_heard >= MIN_HEARD


def usable(targets: Sequence[Target], split: str, state: TrainingState) -> list[Target]:
    """The targets that were not dropped, at the level of ``state``."""
    return [scale(target, state.gain) for target in targets if f"{split}/{target.name}" not in state.dropped]


def misaligned(splits: Mapping[str, Sequence[Target]]) -> dict[str, str]:
    """Clips (``split/name``) whose alignment lies far below that of the others, with the reason.

    Raises:
        VoicecloneError: nothing is left of a split.
    """
    scores = np.array([target.alignment.score for done in splits.values() for target in done])
    if len(scores) < MIN_FOR_DROPPING:
        return {}
    median = float(np.median(scores))
    deviation = 1.4826 * float(np.median(np.abs(scores - median)))
    lowest = median - max(MIN_SCORE_MARGIN, SCORE_DEVIATIONS * deviation)
    dropped = {
        f"{split}/{target.name}": f"the speech does not fit the transcript (alignment {target.alignment.score:.2f}, "
        f"the others about {median:.2f}): check the text"
        for split, done in splits.items()
        for target in done
        if target.alignment.score < lowest
    }
    for split, done in splits.items():
        if done and all(f"{split}/{target.name}" in dropped for target in done):
            raise VoicecloneError(f"no {split} clip fits its transcript: check the texts of the metadata")
    return dropped


def _start(
    config: ProjectionConfig, m: Material, train: Sequence[Target], white: Tensor, advance: Callable[[], None]
) -> Start:
    """The start by the recipe: neutral, or the best on a few clips."""
    if config.plain or "start" in config.without:
        return neutral_start(m.stock)
    objective = Objective(
        train,
        m.kokoro,
        m.profile,
        crop_frames=crop_length(config.crop_frames, [target.frames for target in train]),
        anchor=torch.zeros(1, white.shape[0], device=m.kokoro.device),
        whitening=white.to(m.kokoro.device),
        speaker=m.speaker,
        listener=m.listener,
        free=config.free,
    )
    return best_start(
        m.stock,
        objective,
        crops=objective.middle_crops()[:START_CROPS],
        weights=config.weights,
        zero_shot=m.zero_shot if m.prior is None else zero_shot(m.prior, m.styles),
        # A style that is a voice already needs no map: it is a possible start even where the map is left out.
        left_out=config.without if m.zero_shot is None else config.without - {"prior"},
        seed=config.seed,
        advance=advance,
    )


@torch.no_grad()
def _phones_heard(m: Material, start: Start, seed: int) -> float:
    """Share of the phone frames that the listener hears right when the base speaks a few clips' texts."""
    log_mel, rows = LogMel().to(m.kokoro.device), start.rows(m.profile, m.kokoro.device)
    scores, labels = [], []
    with torch.random.fork_rng(devices=[m.kokoro.device] if m.kokoro.device.type == "cuda" else []):
        for index, target in enumerate(m.train[:START_CROPS]):
            torch.manual_seed(seed + index)
            audio, durations = m.kokoro.speak(target.text, rows(target.text.phoneme_count))
            scores.append(m.listener(log_mel(audio[None])[..., : 2 * int(durations.sum())]))
            labels.append(frame_labels(target.text.symbols, durations)[None])
    return share_heard(torch.cat(scores, dim=2), torch.cat(labels, dim=1))


def _first_network(config: ProjectionConfig, m: Material, start: Start) -> dict[str, Tensor]:
    """Weights that map the mean style to the start; the plain recipe's are random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        projection = Projection(config.mlp)
    if not config.plain and m.prior is not None and "prior" not in config.without:
        projection.load_state_dict(m.prior.state_dict())
        projection.carry_to(m.styles.mean(dim=0, keepdim=True), start.vector)
    elif not config.plain:
        projection.start_at(start.vector)
    return {name: value.clone() for name, value in projection.state_dict().items()}
