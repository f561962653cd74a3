"""Confidence intervals of means over a few clips: percentile bootstrap (Efron 1979), seeded.

Clips are resampled with replacement; the interval contains the central 95 % of the resampled means. With fewer than
about ten clips it is too narrow. With one clip there is no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval; the limits are None where there is a single value."""

    mean: float
    low: float | None
    high: float | None

    def rounded(self, digits: int = 4) -> dict[str, float | None]:
        """JSON-able, rounded to ``digits`` decimals."""
        return {
            name: None if value is None else round(value, digits)
            for name, value in (("mean", self.mean), ("low", self.low), ("high", self.high))
        }


def mean_interval(values: Sequence[float], *, seed: int) -> Interval:
    """The mean of ``values`` (at least one) with its interval."""
    return ratio_interval(values, [1.0] * len(values), seed=seed)


def ratio_interval(amounts: Sequence[float], sizes: Sequence[float], *, seed: int) -> Interval:
    """``sum(amounts) / sum(sizes)``, such as errors per phone; each clip's amount and size are resampled together.

    Raises:
        ValueError: there are no values, or the two lengths differ.
    """
    return _interval(_ratio, _checked(amounts, sizes), seed)


def difference_interval(
    first: tuple[Sequence[float], Sequence[float]], second: tuple[Sequence[float], Sequence[float]], *, seed: int
) -> Interval:
    """The ratio of ``first`` minus that of ``second``, both ``(amounts, sizes)`` of the same clips in the same order.

    The bootstrap is paired: both use the same resampled clips, so that differences in difficulty between clips cancel.

    Raises:
        ValueError: the two have different numbers of clips.
    """
    a, b = _checked(*first), _checked(*second)
    if len(a[0]) != len(b[0]):
        raise ValueError(f"{len(a[0])} and {len(b[0])} values cannot be compared in pairs")
    return _interval(_difference, (*a, *b), seed)


def _checked(amounts: Sequence[float], sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    a, s = np.asarray(amounts, dtype=float), np.asarray(sizes, dtype=float)
    if a.ndim != 1 or not len(a) or a.shape != s.shape:
        raise ValueError(f"amounts {a.shape} and sizes {s.shape}: expected two rows of one length, not empty")
    return a, s


def _ratio(amounts: np.ndarray, sizes: np.ndarray, axis: int = -1) -> np.ndarray:
    return amounts.sum(axis=axis) / np.maximum(sizes.sum(axis=axis), 1e-12)


def _difference(a: np.ndarray, a_sizes: np.ndarray, b: np.ndarray, b_sizes: np.ndarray, axis: int = -1) -> np.ndarray:
    return _ratio(a, a_sizes, axis) - _ratio(b, b_sizes, axis)


def _interval(statistic: Callable[..., np.ndarray], rows: Sequence[np.ndarray], seed: int) -> Interval:
    """``statistic`` of ``rows`` of equal length, resampled with common indices. Rows of length 1 give no interval."""
    mean = float(statistic(*rows))
    if len(rows[0]) < 2:
        return Interval(mean, None, None)
    from scipy.stats import bootstrap

    low, high = bootstrap(
        tuple(rows), statistic, paired=True, vectorized=True, axis=-1, n_resamples=RESAMPLES, method="percentile",
        confidence_level=LEVEL, random_state=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(low), float(high))
