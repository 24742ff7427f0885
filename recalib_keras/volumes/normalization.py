"""Normalisation of intensities: to the scale that a network was trained on."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.intensities import ct_range
from recalib_keras.core.memory import memory_for
from recalib_keras.core.messages import did_you_mean
from recalib_keras.core.scratch import extremes, release
from recalib_keras.volumes.outliers import usual_range

# The range of a CT in Hounsfield units: air to dense bone.
CT_RANGE = (-1000.0, 1000.0)
# Bright vessels and a few broken voxels lie beyond these percentiles. The low one is that of all voxels, the high one
# that of the bright voxels, which are the body: the amount of air in a scan then does not change its tissues.
LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
# Steps of the threshold between dark and bright: from the mean of all to the middle between the means of both.
THRESHOLD_STEPS = 4
# The percentiles of larger arrays are those of every n-th slice: about this many voxels.
MOST_SORTED = 2**24
# Sums over large arrays take this many values at a time.
VALUES_AT_ONCE = 2**22
# The methods whose scale is that of the scan itself.
RELATIVE = ("zscore", "percentile")
NEED_LESS = "crop the scan, or use a machine with more memory"


def normalize(array: np.ndarray, method: str) -> np.ndarray:
    """Returns an array as float32 with its intensities normalised.

    Args:
        array: Intensities of any shape, all finite.
        method: `"zscore"`: mean 0 and standard deviation 1 over the whole array.
            `"percentile"`: the 1st percentile becomes 0, the 99th of the bright voxels (the body, without the air)
            becomes 1, and values beyond are clipped (the full range if these two are equal).
            `"minmax"`: the smallest intensity becomes 0, the largest becomes 1. A wild voxel decides the scale, so
            prefer `"percentile"` for networks of your own.
            `"ct"`: Hounsfield units from -1000 to 1000, clipped, become -1 to 1. `"ct:-160:240"`: those from -160 to
            240 instead.
            `"none"`: unchanged.

    Returns:
        float32 array of the same shape. A constant array has no contrast: all methods but `"ct"` and `"none"`
        make it zero.

    Raises:
        ValueError: `method` is none of these.

    Warns:
        ScanWarning: See `normalizer`.

    Example:
        >>> normalize(np.array([-3000, -1000, 0, 500]), "ct")
        array([-1. , -1. ,  0. ,  0.5], dtype=float32)
        >>> normalize(np.array([-1000, 40, 140]), "ct:-160:240")
        array([-1. ,  0. ,  0.5], dtype=float32)
    """
    return normalizer(array, method)(array)


def normalizer(
    array: np.ndarray, method: str, original: np.ndarray | None = None, name: str | os.PathLike | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function that normalises any part of an array as `normalize` does the whole.

    It normalises a large scan piece by piece, without a copy of the scan.

    A few wild voxels, or a constant border far below or above the scan, would decide the scale alone. The methods that
    depend on the scan (`"zscore"`, `"percentile"`) first clip them to the range of the other voxels.

    Args:
        array: Intensities of any shape, all finite. Their statistics are computed once, here.
        method: A name in `METHODS`, see `normalize`.
        original: The scan before it was resampled, where wild voxels and borders still are what they were; or None.
        name: The scan's file, for messages.

    Raises:
        ValueError: `method` is none of `METHODS`.
        VolumeError: The memory is too small.

    Warns:
        ScanWarning: Wild voxels or a far-off border were found.

    Example:
        >>> scan = np.array([1.0, 2.0, 3.0])
        >>> normalizer(scan, "zscore")(scan[:2])
        array([-1.2247449,  0.       ], dtype=float32)
    """
    window = ct_range(method)
    if window is not None:
        return _within(*window)
    if method not in METHODS:
        hint = did_you_mean(method, METHODS)
        raise ValueError(
            f"expected a normalisation out of {', '.join(METHODS)}, got {method!r}" + (f"; {hint}" if hint else "")
        )
    array = np.asarray(array)
    sorted_values = min(array.size, MOST_SORTED)
    with memory_for(3 * 8 * sorted_values, f"the statistics of {array.size:,} voxels", NEED_LESS, name, VolumeError):
        clip = usual_range(array if original is None else original, method, name) if method in RELATIVE else None
        rescale = METHODS[method](array if clip is None else np.clip(array, *clip))
        release(array)
        if clip is None:
            return rescale
        return lambda part: rescale(np.clip(part, *clip))


def _zscore(array):
    lowest, highest = extremes(array)
    if lowest == highest:
        return _zero
    # float64: in float32 the sums over millions of voxels lose the digits that matter.
    mean = array.mean(dtype=np.float64)
    return _rescaling(mean, _deviation(array, mean))


def _deviation(array, mean):
    """Returns the standard deviation; `array.std` needs two copies of the array in float64."""
    rows = max(1, VALUES_AT_ONCE * len(array) // array.size)
    parts = (array[start : start + rows] - mean for start in range(0, len(array), rows))
    return np.sqrt(sum(np.square(part).sum() for part in parts) / array.size)


def _percentile(array):
    sample = array[_every_few_slices(array)]
    low, most = (float(value) for value in np.percentile(sample, (LOW_PERCENTILE, HIGH_PERCENTILE)))
    bright = sample[sample > threshold_of_bright(np.clip(sample, low, most))]
    high = float(np.percentile(bright, HIGH_PERCENTILE)) if bright.size else low
    if low == high:
        low, high = map(float, extremes(array))
    if low == high:
        return _zero
    return _rescaling(low, high - low, clip=(0, 1))


def threshold_of_bright(values: np.ndarray) -> float:
    """Returns the threshold between dark and bright values.

    Args:
        values: Intensities of any shape.

    Reference:
        Ridler and Calvard, "Picture thresholding using an iterative selection method", IEEE Trans. SMC 8, 1978.
    """
    threshold = values.mean(dtype=np.float64)
    for _ in range(THRESHOLD_STEPS):
        is_bright = values > threshold
        if not is_bright.any():
            break
        dark, bright = (values[where].mean(dtype=np.float64) for where in (~is_bright, is_bright))
        threshold = (dark + bright) / 2
    return threshold


def _every_few_slices(array):
    """Returns the index of evenly spread slices along the longest axis; of all slices if the array is small."""
    step = -(-array.size // MOST_SORTED)
    longest = int(np.argmax(array.shape))
    return tuple(slice(None, None, step if axis == longest else None) for axis in range(array.ndim))


def _minmax(array):
    low, high = map(float, extremes(array))
    return _zero if low == high else _rescaling(low, high - low)


def _ct(array):
    return _within(*CT_RANGE)


def _within(low, high):
    """Returns the function that maps a range to -1 … 1, and clips values beyond."""
    return _rescaling((low + high) / 2, (high - low) / 2, clip=(-1, 1))


def _none(array):
    return lambda part: np.asarray(part).astype(np.float32)


def _zero(part):
    return np.zeros(np.shape(part), np.float32)


def _rescaling(offset, scale, clip=None):
    def rescale(part):
        values = ((part - np.float64(offset)) / np.float64(scale)).astype(np.float32)
        return values if clip is None else np.clip(values, *clip)

    return rescale


METHODS: dict[str, Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "zscore": _zscore,
    "percentile": _percentile,
    "minmax": _minmax,
    "ct": _ct,
    "none": _none,
}
"""The normalisations by name. Each takes an array and returns the function that normalises its parts."""
