"""How sure a mean over a few clips is: percentile bootstrap (Efron 1979), seeded.

The clips are drawn with replacement, again and again; the interval holds the middle 95 % of the means. Below some ten
clips such an interval is rather too narrow; from one clip there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % interval, None where one value alone was measured."""

    mean: float
    low: float | None
    high: float | None

    def rounded(self, digits: int = 4) -> dict[str, float | None]:
        """As JSON."""
        return {
            name: None if value is None else round(value, digits)
            for name, value in (("mean", self.mean), ("low", self.low), ("high", self.high))
        }


def mean_interval(values: Sequence[float], *, seed: int) -> Interval:
    """The mean of ``values`` (at least one)."""
    return ratio_interval(values, np.ones(len(values)), seed=seed)


def ratio_interval(amounts: Sequence[float], sizes: Sequence[float], *, seed: int) -> Interval:
    """``sum(amounts) / sum(sizes)``, such as errors per phone; the clips are drawn, each with its amount and size.

    Raises:
        ValueError: no values, or not as many sizes as amounts.
    """
    return _interval(_ratio, _checked(amounts, sizes), seed)


def difference_interval(
    first: tuple[Sequence[float], Sequence[float]], second: tuple[Sequence[float], Sequence[float]], *, seed: int
) -> Interval:
    """The ratio of ``first`` minus that of ``second``, each (amounts, sizes), measured on the same clips in one order.

    The same clips are drawn for both, so what makes a clip hard for either does not blur the difference.
    """
    a, b = _checked(*first), _checked(*second)
    if len(a[0]) != len(b[0]):
        raise ValueError(f"{len(a[0])} and {len(b[0])} values cannot be compared in pairs")
    return _interval(_difference, (*a, *b), seed)


def _checked(amounts: Sequence[float], sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    amounts, sizes = np.asarray(amounts, dtype=float), np.asarray(sizes, dtype=float)
    if amounts.ndim != 1 or not len(amounts) or amounts.shape != sizes.shape:
        raise ValueError(f"amounts {amounts.shape} and sizes {sizes.shape}: expected two rows of one length, not empty")
    return amounts, sizes


def _ratio(amounts: np.ndarray, sizes: np.ndarray, axis: int = -1) -> np.ndarray:
    return amounts.sum(axis=axis) / np.maximum(sizes.sum(axis=axis), 1e-12)


def _difference(a: np.ndarray, a_sizes: np.ndarray, b: np.ndarray, b_sizes: np.ndarray, axis: int = -1) -> np.ndarray:
    return _ratio(a, a_sizes, axis) - _ratio(b, b_sizes, axis)


def _interval(statistic: Callable[..., np.ndarray], rows: Sequence[np.ndarray], seed: int) -> Interval:
    """``statistic`` of ``rows`` of one length, whose places are drawn together; of one place there is no interval."""
    mean = float(statistic(*rows))
    if len(rows[0]) < 2:
        return Interval(mean, None, None)
    from scipy.stats import bootstrap

    low, high = bootstrap(
        tuple(rows), statistic, paired=True, vectorized=True, axis=-1, n_resamples=RESAMPLES, method="percentile",
        confidence_level=LEVEL, random_state=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(low), float(high))
