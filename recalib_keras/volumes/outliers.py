"""Values that are not intensities: single wild voxels, and constant borders far from the scan's values."""

from __future__ import annotations

import os

import numpy as np

from recalib_keras.core.errors import warn_of_scan
from recalib_keras.core.scratch import extremes

# Everything is judged by about this many voxels, evenly spread.
SAMPLE = 2**18
# Wild voxels lie further outside the range of the others than this many times its width (metal and vessels do not) …
WILD = 50.0
# … are so few (a share; or a number, of which interpolation makes some more), …
WILD_SHARE, WILD_COUNT = 1e-5, 64
# … and raise the variance of the whole by this share.
WILD_INFLUENCE = 0.1
# A border is a constant that fills these shares of the array's faces and of the array, …
FACES_SHARE, BORDER_SHARE = 0.05, 0.01
# … that no intensity has by chance (paddings are -1000, -1024, -2048, -32768, 65535, …), …
BORDER_VALUE = 500.0
# … that lies further from most of the other values (these percentiles; bright tissue is rarer than dark) than these
# reach, …
BORDER_GAP = 1.0
MOST_ABOVE, MOST_BELOW = (25, 99), (5, 99)
# … with no more than this share of them in the half of the gap beside the border. In a CT without padding, whose air is
# -1024, it is 3 % or more: skin, airways, lungs. Interpolation fills gaps too; a border that is not air may have more.
BETWEEN, BETWEEN_NO_AIR, NO_AIR = 0.015, 0.25, 2000.0
# More than this share is what interpolation makes; how far beyond most values the scan then reaches (as for the gap).
RIM, RIM_REACH = 1e-3, 1.0


def usual_range(array: np.ndarray, method: str, name: str | os.PathLike | None = None) -> tuple[float, float] | None:
    """Returns the range of the values that are intensities; None for an ordinary scan, whose values all are.

    Args:
        array: Intensities of any shape, all finite.
        method: `"zscore"` or `"percentile"`. Percentiles do not depend on single voxels.
        name: The scan's file, for messages.

    Warns:
        ScanWarning: There are other values.

    Example:
        >>> usual_range(np.arange(1000.0), "zscore") is None
        True
    """
    lowest, highest = map(float, extremes(array))
    sample = _sample(array)
    low, high = (lowest, highest) if method == "percentile" else _without_wild(array, sample, lowest, highest)
    if (low, high) != (lowest, highest):
        wild = lowest if low - lowest > highest - high else highest
        warn_of_scan(
            f"single voxels, such as one of {wild:.4g}, are far outside the range of the others, {low:.4g} to "
            f"{high:.4g}; they are clipped to it for the normalisation",
            name,
        )
    inner = _without_border(array, sample[(sample >= low) & (sample <= high)], low, high)
    if inner != (low, high):
        border = low if inner[0] > low else high
        warn_of_scan(
            f"a constant border of {border:.6g} is far from the other values, {inner[0]:.4g} to {inner[1]:.4g}; it is "
            "clipped to them for the normalisation",
            name,
        )
    return None if inner == (lowest, highest) else inner


def _sample(array):
    # Odd steps, so that no stripe pattern is met always or never.
    step = int(np.ceil((array.size / SAMPLE) ** (1 / max(1, array.ndim)))) | 1 if array.size > SAMPLE else 1
    return array[(slice(None, None, step),) * array.ndim].ravel()


def _without_wild(array, sample, lowest, highest):
    """Returns the range of all voxels but wild ones."""
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.5)))
    reach = WILD * (high - low)
    if reach == 0 or (highest <= high + reach and lowest >= low - reach):
        return lowest, highest
    is_wild = (array > high + reach) | (array < low - reach)
    count = int(np.count_nonzero(is_wild))
    excess = np.square((array[is_wild] - np.float64(low + high) / 2) / (high - low)).sum() / array.size
    # The standard deviation of usual values is about a quarter of their range.
    if count > max(WILD_COUNT, WILD_SHARE * array.size) or excess < WILD_INFLUENCE / 16:
        return lowest, highest
    return float(array.min(where=~is_wild, initial=highest)), float(array.max(where=~is_wild, initial=lowest))


def _without_border(array, sample, low, high):
    """Returns the range of all voxels but those of a far-off constant border."""
    if array.ndim > 1:
        for border, sign in ((low, 1.0), (high, -1.0)):
            edge = _edge_beside_border(array, sample, border, sign)
            if edge is not None:
                return (edge, high) if sign > 0 else (low, edge)
    return low, high


def _edge_beside_border(array, sample, border, sign):
    """Returns the outermost value of a scan beside its border, below it (`sign` 1) or above it (-1); or None."""
    others = sign * sample[sample != border].astype(np.float64)
    if sign * border > -BORDER_VALUE or not 0 < others.size <= (1 - BORDER_SHARE) * sample.size:
        return None
    near, far = np.percentile(others, MOST_ABOVE if sign > 0 else MOST_BELOW)
    gap, reach = near - sign * border, far - near
    if reach == 0 or gap <= BORDER_GAP * reach or _share_of_faces(array, border) < FACES_SHARE:
        return None
    between = np.mean(others < near - gap / 2)
    if between > (BETWEEN_NO_AIR if abs(border) >= NO_AIR else BETWEEN):
        return None
    if between < RIM:
        inner = array[array != border]
        return float(inner.min() if sign > 0 else inner.max())
    return sign * float(np.percentile(others[others >= near - RIM_REACH * reach], 1))


def _share_of_faces(array, value):
    faces = [array.take(end, axis) for axis in range(array.ndim) for end in (0, -1)]
    return sum(np.count_nonzero(face == value) for face in faces) / sum(face.size for face in faces)
