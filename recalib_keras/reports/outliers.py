"""Which volumes of a cohort are outliers: by robust z-scores, which outliers themselves cannot hide."""

from __future__ import annotations

import numpy as np

# Iglewicz and Hoaglin, "How to detect and handle outliers", ASQC 1993: 0.6745 makes the score one of a normal
# distribution, and beyond 3.5 a value counts as an outlier.
NORMAL, LIMIT = 0.6745, 3.5
# Of fewer scans the spread is not known well enough.
FEWEST = 10


def robust_z(values: np.ndarray) -> np.ndarray:
    """Returns `0.6745·(x - median) / MAD` of each value; MAD is the median of all `|x - median|`.

    Args:
        values: Float array `(scans, structures)`, NaN where a volume is unknown. Each column is scored by itself.

    Returns:
        Float array of the same shape; NaN where a value is unknown, or fewer than 10 are known, or half are equal.

    Example:
        >>> robust_z(np.array([[float(n)] for n in (*range(1, 10), 50)]))[-1].round(1)
        array([12.])
    """
    scores = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        known = np.isfinite(values[:, column])
        if known.sum() < FEWEST:
            continue
        differences = values[known, column] - np.median(values[known, column])
        spread = np.median(np.abs(differences))
        if spread > 0:
            scores[known, column] = NORMAL * differences / spread
    return scores
