"""Bring intensities to the scale a network was trained on."""

import difflib
from collections.abc import Callable

import numpy as np

# The window of a CT in Hounsfield units: air to dense bone.
CT_RANGE = (-1000.0, 1000.0)
# Bright vessels and a few broken voxels lie beyond these percentiles.
ROBUST_PERCENTILES = (1.0, 99.0)


def normalize(array: np.ndarray, method: str) -> np.ndarray:
    """Return `array` as float32 with its intensities normalised by a named method.

    Args:
        array: Intensities of any shape, all finite.
        method: `"zscore"`: mean 0 and standard deviation 1 over the whole array.
            `"percentile"`: the 1st percentile to 0, the 99th to 1, and what lies beyond clipped (the full range if
            these two percentiles are equal).
            `"ct"`: Hounsfield units from -1000…1000, clipped, to -1…1.
            `"none"`: unchanged.

    Returns:
        float32 array of the same shape. An array of one constant value has no contrast: `"zscore"` and
        `"percentile"` make it zero.

    Raises:
        ValueError: `method` is not one of these.

    Example:
        >>> normalize(np.array([-3000, -1000, 0, 500]), "ct")
        array([-1. , -1. ,  0. ,  0.5], dtype=float32)
    """
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected a normalisation out of {', '.join(METHODS)}, got {method!r}{hint}")
    return METHODS[method](np.asarray(array))


def _zscore(array):
    if array.min() == array.max():
        return np.zeros(array.shape, np.float32)
    # float64: in float32 the sums over millions of voxels lose the digits that matter.
    mean = array.mean(dtype=np.float64)
    deviation = array.std(dtype=np.float64)
    return _rescale(array, mean, deviation)


def _percentile(array):
    low, high = (float(value) for value in np.percentile(array, ROBUST_PERCENTILES))
    if low == high:
        low, high = float(array.min()), float(array.max())
    if low == high:
        return np.zeros(array.shape, np.float32)
    return np.clip(_rescale(array, low, high - low), 0, 1)


def _ct(array):
    low, high = CT_RANGE
    return np.clip(_rescale(array, (low + high) / 2, (high - low) / 2), -1, 1)


def _none(array):
    return array.astype(np.float32)


def _rescale(array, offset, scale):
    return ((array - np.float64(offset)) / np.float64(scale)).astype(np.float32)


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "zscore": _zscore,
    "percentile": _percentile,
    "ct": _ct,
    "none": _none,
}
