"""Student's and Welch's intervals of means and of their differences."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Sequence

CONFIDENCE = 0.95


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns Student's interval of the mean of some values; NaN for a single value.

    Args:
        values: The values.
        confidence: Confidence of the interval, from 0 to 1.

    Example:
        >>> [round(bound, 3) for bound in interval([0.80, 0.82, 0.84])]
        [0.77, 0.87]
    """
    if len(values) < 2:
        return math.nan, math.nan
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    return _around(mean, error, len(values) - 1, confidence)


def paired(pairs: Iterable[tuple[float, float]], confidence: float = CONFIDENCE) -> tuple[float, tuple[float, float]]:
    """Returns the mean difference of pairs of values, and Student's interval of it.

    Args:
        pairs: The pairs; the second value is subtracted from the first.
        confidence: See `interval`.
    """
    differences = [own - other for own, other in pairs]
    return statistics.fmean(differences), interval(differences, confidence)


def unpaired(
    own: Sequence[float], others: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, tuple[float, float]]:
    """Returns the difference of two means, and Welch's interval of it; NaN if a side has a single value.

    Args:
        own: Values of the first mean.
        others: Values of the second mean, which is subtracted.
        confidence: See `interval`.
    """
    difference = statistics.fmean(own) - statistics.fmean(others)
    if min(len(own), len(others)) < 2:
        return difference, (math.nan, math.nan)
    parts = [(statistics.variance(group) / len(group), len(group) - 1) for group in (own, others)]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return difference, (difference, difference)
    freedom = variance**2 / sum(part**2 / free for part, free in parts)
    return difference, _around(difference, math.sqrt(variance), freedom, confidence)


def together(comparisons: int) -> float:
    """Returns the confidence that each interval needs so that all hold together at 95 % (Bonferroni).

    Args:
        comparisons: Number of intervals.
    """
    return 1 - (1 - CONFIDENCE) / max(1, comparisons)


def pairs_of(count: int) -> int:
    """Returns the number of pairs among some things.

    Args:
        count: Number of things.
    """
    return count * (count - 1) // 2


def _around(mean, error, freedom, confidence):
    reach = _quantile((1 + confidence) / 2, freedom) * error
    return mean - reach, mean + reach


@functools.lru_cache
def _quantile(share, freedom):
    """Returns the quantile of Student's distribution."""
    from scipy import stats

    return float(stats.t.ppf(share, freedom))
