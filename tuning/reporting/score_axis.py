"""The limits of an axis of scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MARGIN = 0.06  # of the shown scores, above and below
SMALLEST_SPAN = 0.01  # of an axis of scores


def score_limits(scores: Sequence[float], intervals: Iterable[float] = ()) -> tuple[float, float]:
    """Returns the limits of an axis of scores: the range of the data within 0 to 1, with a small margin.

    Intervals of few trials are far wider than the scores. They extend the axis by at most the range of the scores.

    Args:
        scores: All scores that are drawn, means included.
        intervals: Bounds of the intervals that are drawn.
    """
    low, high = min(scores), max(scores)
    reach = max(high - low, SMALLEST_SPAN)
    bounds = [*scores, *(min(max(bound, low - reach), high + reach) for bound in intervals)]
    low, high = max(0.0, min(bounds)), min(1.0, max(bounds))
    margin = max(MARGIN * (high - low), (SMALLEST_SPAN - (high - low)) / 2)
    return max(0.0, low - margin), min(1.0, high + margin)
