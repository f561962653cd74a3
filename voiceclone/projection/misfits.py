"""Clips whose speech does not fit their transcript."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voiceclone.audio.features import LogMel
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro, TextFeatures
from voiceclone.nets.phone_classifier import PhoneClassifier, frame_accuracy, frame_labels, phone_gap
from voiceclone.projection.targets import AlignedTarget

MAX_EXCESS = 1.75  # nats; a clip whose phone gap exceeds the base's own by more is dropped, whatever the others have
PHONE_GAP_MARGIN = 0.6  # nats; minimum difference of a clip's phone gap to the median at which the clip is dropped
MIN_SCORE_MARGIN = 0.10  # the same for the alignment score, where there is no phone classifier
DEVIATIONS = 2.5  # the same in robust standard deviations; the larger of both applies
SHORT = 120  # frames of 25 ms; with the few phones of a shorter clip only another text can be detected
GAP_ERROR = 3.2  # nats; standard error of a clip's gap times the square root of its frames
MIN_FOR_DROPPING = 5  # minimum number of clips for a reliable median


def named(splits: Mapping[str, Sequence[AlignedTarget]]) -> Iterator[tuple[str, AlignedTarget]]:
    """``split/name`` of every target, and the target."""
    for split, targets in splits.items():
        for target in targets:
            yield f"{split}/{target.name}", target


@dataclass(frozen=True, kw_only=True)
class OwnPhones:
    """How accurate the phone classifier is on a base's own speech, whose phones are known."""

    accuracy: float
    """Share of the frames whose phone is the likeliest, 0 to 1."""
    gap: float
    """See :func:`~voiceclone.nets.phone_classifier.phone_gap`, nats: 0.3 for English, 0.6 to 1.7 for others."""


@torch.no_grad()
def own_phones(
    kokoro: FrozenKokoro,
    phone_classifier: PhoneClassifier,
    texts: Sequence[TextFeatures],
    row_of: Callable[[int], Tensor],
    seed: int,
) -> OwnPhones:
    """Let the base speak ``texts`` and classify its phones. The caller's RNG state is restored.

    Args:
        kokoro: the base.
        phone_classifier: on the same device.
        texts: one or more.
        row_of: gives the voice's row ``(1, 256)`` for a phoneme count.
        seed: of the synthesis noise.
    """
    log_mel, scores, labels = LogMel().to(kokoro.device), [], []
    with torch.random.fork_rng(devices=[kokoro.device] if kokoro.device.type == "cuda" else []):
        for index, text in enumerate(texts):
            torch.manual_seed(seed + index)
            audio, durations = kokoro.speak(text, row_of(text.phoneme_count))
            scores.append(phone_classifier(log_mel(audio[None])[..., : 2 * int(durations.sum())]))
            labels.append(frame_labels(text.symbols, durations))
    joined, labelled = torch.cat(scores, dim=2), torch.cat(labels)
    return OwnPhones(
        accuracy=frame_accuracy(joined, labelled[None]), gap=phone_gap(torch.softmax(joined[0], dim=0), labelled)
    )


def misaligned(splits: Mapping[str, Sequence[AlignedTarget]], own_gap: float) -> dict[str, str]:
    """As :func:`unfitting_clips`, where some clip of every split has to fit.

    Raises:
        VoicecloneError: no clip of a split is left.
    """
    dropped = unfitting_clips(splits, own_gap)
    for split, done in splits.items():
        if done and all(f"{split}/{target.name}" in dropped for target in done):
            raise VoicecloneError(f"no {split} clip fits its transcript: check the texts of the metadata")
    return dropped


def unfitting_clips(splits: Mapping[str, Sequence[AlignedTarget]], own_gap: float) -> dict[str, str]:
    """Clips (``split/name``) whose speech does not fit the transcript, with the reason.

    By the gap between the phones of the text and those that the phone classifier finds likeliest, which shows most
    wrong transcripts, also where all of a dataset are (docs/lab_notes/wrong_transcripts.md); without the classifier by
    the alignment score, relative to the other clips.

    Args:
        splits: the aligned clips.
        own_gap: of the base's own speech of such texts, nats: the classifier is less accurate on other languages.
    """
    alignments = {name: target.alignment for name, target in named(splits)}
    gaps = {name: alignment.phone_gap for name, alignment in alignments.items() if alignment.phone_gap is not None}
    if len(gaps) == len(alignments):
        among = _outlier_limit(list(gaps.values()), PHONE_GAP_MARGIN)
        frames = {name: int(alignment.durations.sum()) for name, alignment in alignments.items()}
        values, highest = gaps, {name: _highest_gap(frames[name], own_gap, among) for name in gaps}
    else:
        values = {name: 1.0 - alignment.score for name, alignment in alignments.items()}
        highest = dict.fromkeys(values, _outlier_limit(list(values.values()), MIN_SCORE_MARGIN))
    return {
        name: f"the speech does not fit the transcript (misfit {value:.2f}, limit {highest[name]:.2f}): check the text"
        for name, value in values.items()
        if value > highest[name]
    }


def _highest_gap(frames: int, own_gap: float, among: float) -> float:
    """The limit for a clip of ``frames`` frames, nats; ``among`` is that relative to the other clips."""
    if frames >= SHORT:
        return min(own_gap + MAX_EXCESS, among)
    return own_gap + MAX_EXCESS + DEVIATIONS * GAP_ERROR * (frames**-0.5 - SHORT**-0.5)


def _outlier_limit(values: Sequence[float], least: float) -> float:
    """The median plus ``least``, or plus 2.5 robust standard deviations where that is more; infinite for few values."""
    if len(values) < MIN_FOR_DROPPING:
        return math.inf
    median = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(np.asarray(values) - median)))
    return median + max(least, DEVIATIONS * deviation)
