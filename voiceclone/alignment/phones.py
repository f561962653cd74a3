"""Phone models of one speaker: a Gaussian for each third of a phone, trained on the recording itself.

The labels are from the rough alignment and are refined by realignment (Viterbi training, as in any flat-start monophone
recogniser; Rabiner 1989). The score is the *gap*: how much worse a frame fits the phone of the text than the phone that
fits best. Gaps are small for the right text with any microphone, and large for a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from voiceclone.alignment.features import SIZE

Third = tuple[str, int]
"""A phone and the index of the third (0-2)."""

PAUSE = 0  # index of the pause state
LIKELIHOOD_SCALE = 0.1  # scale of log-likelihoods, because neighbouring frames and feature values are correlated
_PRIOR_FRAMES = 5.0  # weight of the mean of all speech, in frames
_VARIANCE_FLOOR = 0.1
_HELD_OUT_FRAMES = 500  # ten seconds
_HELD_OUT_PARTS = 4  # minimum number of held-out parts, for material below 40 seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class PhoneModels:
    """Gaussians of the pause (state 0), of every known phone third, and of all speech (last state)."""

    thirds: tuple[Third, ...]
    mean: np.ndarray = field(repr=False)
    """``(S, 26)``; S is the number of thirds + 2."""
    variance: np.ndarray = field(repr=False)
    """``(S, 26)``"""

    @cached_property
    def _index(self) -> dict[Third, int]:
        return {third: 1 + k for k, third in enumerate(self.thirds)}

    def states(self, thirds: Iterable[Third]) -> np.ndarray:
        """The state of each phone third, int64 ``(N,)``; the all-speech state for phones without training data."""
        return np.array([self._index.get(third, len(self.mean) - 1) for third in thirds], dtype=np.int64)

    def gaps(self, features: np.ndarray) -> np.ndarray:
        """Gap of each state to the best phone: features ``(26, T)`` to ``(T, S)`` float32.

        Gaps of phones are 0 or more; that of the pause may be negative.
        """
        weight = 1.0 / self.variance
        cost = 0.5 * (
            np.square(features).T @ weight.T
            - 2.0 * features.T @ (self.mean * weight).T
            + (np.square(self.mean) * weight + np.log(self.variance)).sum(axis=1)
        )
        cost = LIKELIHOOD_SCALE * cost
        return (cost - cost[:, 1:].min(axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class PhoneTable:
    """Sufficient statistics of labelled frames. Row 0 is the pause, the others are phone thirds."""

    thirds: tuple[Third, ...]
    count: np.ndarray = field(repr=False)
    """``(1 + thirds,)``"""
    first: np.ndarray = field(repr=False)
    """Sums of the features, ``(1 + thirds, 26)``."""
    second: np.ndarray = field(repr=False)
    """Sums of their squares, ``(1 + thirds, 26)``."""

    def models(self) -> PhoneModels:
        """The phone models. States with few frames are drawn towards the mean of all speech."""
        zero, one = np.zeros(SIZE), np.ones(SIZE)
        speech = _moments(self.count[1:].sum(), self.first[1:].sum(axis=0), self.second[1:].sum(axis=0), zero, one, 1.0)
        states = [_moments(self.count[0], self.first[0], self.second[0], zero, one, 1.0)]
        for row in range(1, len(self.count)):
            sums = (self.count[row], self.first[row], self.second[row])
            states.append(_moments(*sums, speech[0], 2.0 * speech[1], _PRIOR_FRAMES))
        states.append(speech)
        return PhoneModels(
            thirds=self.thirds,
            mean=np.stack([mean for mean, _ in states]),
            variance=np.maximum(np.stack([variance for _, variance in states]), _VARIANCE_FLOOR),
        )

    def held_out_gaps(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Gaps ``(T, S)`` of training frames by cross-validation: each part is scored by models trained without it.

        With little material, a model would otherwise fit even a wrong text.

        Args:
            features: ``(26, T)``.
            labels: int ``(T,)``, rows of the table, -1 for frames that were not counted.
        """
        gaps = []
        length = min(_HELD_OUT_FRAMES, max(int(self.count.sum()) // _HELD_OUT_PARTS, 1))
        for start in range(0, features.shape[1], length):
            part = slice(start, start + length)
            count, first, second = _sums(features[:, part], labels[part], len(self.count))
            # Differences of sums may become negative by rounding.
            rest = PhoneTable(
                thirds=self.thirds,
                count=np.maximum(self.count - count, 0.0),
                first=self.first - first,
                second=np.maximum(self.second - second, 0.0),
            )
            gaps.append(rest.models().gaps(features[:, part]))
        return np.concatenate(gaps)


class PhoneSums:
    """Accumulates labelled frames, one recording at a time."""

    def __init__(self) -> None:
        self.sums: dict[Third | None, list[np.ndarray]] = {}

    def add(self, features: np.ndarray, labels: list[Third | None]) -> None:
        """Add the frames of features ``(26, T)``. The label None is a pause."""
        names = list(dict.fromkeys(labels))
        rows = np.array([names.index(label) for label in labels], dtype=np.int64)
        count, first, second = _sums(features, rows, len(names))
        for row, name in enumerate(names):
            added = [count[row], first[row], second[row]]
            known = self.sums.get(name)
            self.sums[name] = added if known is None else [a + b for a, b in zip(known, added, strict=True)]

    def table(self) -> PhoneTable:
        """The accumulated statistics."""
        thirds = sorted(label for label in self.sums if label is not None)
        nothing = [np.array(0.0), np.zeros(SIZE), np.zeros(SIZE)]
        rows = [self.sums.get(None, nothing), *(self.sums[third] for third in thirds)]
        count, first, second = (np.stack([row[k] for row in rows]) for k in range(3))
        return PhoneTable(thirds=tuple(thirds), count=count, first=first, second=second)


def _sums(features: np.ndarray, labels: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, sums and sums of squares of the frames with each label, ignoring -1."""
    counted = labels >= 0
    member = np.zeros((rows, int(counted.sum())))
    member[labels[counted], np.arange(member.shape[1])] = 1.0
    values = features[:, counted].T.astype(np.float64)
    return member.sum(axis=1), member @ values, member @ np.square(values)


def _moments(
    count: np.ndarray, first: np.ndarray, second: np.ndarray, mean: np.ndarray, variance: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of counted frames, shrunk to prior values with the weight of ``weight`` frames."""
    own_mean = (first + weight * mean) / (count + weight)
    around = np.maximum(second - 2.0 * own_mean * first + count * np.square(own_mean), 0.0)
    return own_mean, (around + 2.0 * weight * variance) / (count + 2.0 * weight)
