"""Bring intensities to the scale a network was trained on."""

import difflib
from collections.abc import Callable

import numpy as np

# The window of a CT in Hounsfield units: air to dense bone.
CT_RANGE = (-1000.0, 1000.0)
# Bright vessels and a few broken voxels lie beyond these percentiles: the one of all voxels, the other of the bright
# ones, which are the body: how much air a scan shows does not change how bright its tissues are.
LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
# The threshold between dark and bright begins at the mean, and becomes so often that of the means of both.
THRESHOLD_STEPS = 4
# Of larger arrays, percentiles are those of every n-th slice: about this many voxels.
MOST_SORTED = 2**24
# Sums over large arrays are taken this many values at a time.
VALUES_AT_ONCE = 2**22


def normalize(array: np.ndarray, method: str) -> np.ndarray:
    """Return `array` as float32 with its intensities normalised by a named method.

    Args:
        array: Intensities of any shape, all finite.
        method: `"zscore"`: mean 0 and standard deviation 1 over the whole array.
            `"percentile"`: the 1st percentile to 0, the 99th of the bright voxels (the body, without the air) to 1,
            and what lies beyond clipped (the full range if these two are equal).
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
    return normalizer(array, method)(array)


def normalizer(array: np.ndarray, method: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that normalises any part of `array` as `normalize` does the whole.

    So a large scan can be normalised piece by piece, without a copy of it.

    Args:
        array: As in `normalize`; its statistics are taken once, here.
        method: As in `normalize`.

    Raises:
        ValueError: `method` is not one of `METHODS`.

    Example:
        >>> scan = np.array([1.0, 2.0, 3.0])
        >>> normalizer(scan, "zscore")(scan[:2])
        array([-1.2247449,  0.       ], dtype=float32)
    """
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected a normalisation out of {', '.join(METHODS)}, got {method!r}{hint}")
    return METHODS[method](np.asarray(array))


def _zscore(array):
    if array.min() == array.max():
        return _zero
    # float64: in float32 the sums over millions of voxels lose the digits that matter.
    mean = array.mean(dtype=np.float64)
    return _rescaling(mean, _deviation(array, mean))


def _deviation(array, mean):
    """Return the standard deviation; `array.std` would need two copies of the array in float64."""
    rows = max(1, VALUES_AT_ONCE * len(array) // array.size)
    parts = (array[start : start + rows] - mean for start in range(0, len(array), rows))
    return np.sqrt(sum(np.square(part).sum() for part in parts) / array.size)


def _percentile(array):
    sample = array[_every_few_slices(array)]
    low, most = (float(value) for value in np.percentile(sample, (LOW_PERCENTILE, HIGH_PERCENTILE)))
    bright = sample[sample > threshold_of_bright(np.clip(sample, low, most))]
    high = float(np.percentile(bright, HIGH_PERCENTILE)) if bright.size else low
    if low == high:
        low, high = float(array.min()), float(array.max())
    if low == high:
        return _zero
    return _rescaling(low, high - low, clip=(0, 1))


def threshold_of_bright(values: np.ndarray) -> float:
    """Return the threshold between dark and bright values (Ridler and Calvard, IEEE Trans. SMC 8, 1978)."""
    threshold = values.mean(dtype=np.float64)
    for _ in range(THRESHOLD_STEPS):
        is_bright = values > threshold
        if not is_bright.any():
            break
        dark, bright = (values[where].mean(dtype=np.float64) for where in (~is_bright, is_bright))
        threshold = (dark + bright) / 2
    return threshold


def _every_few_slices(array):
    """Return the index of evenly spread slices along the longest axis; of all in an array that is not too large."""
    step = -(-array.size // MOST_SORTED)
    longest = int(np.argmax(array.shape))
    return tuple(slice(None, None, step if axis == longest else None) for axis in range(array.ndim))


def _ct(array):
    low, high = CT_RANGE
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


# From an array to the function that normalises its parts.
METHODS: dict[str, Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "zscore": _zscore,
    "percentile": _percentile,
    "ct": _ct,
    "none": _none,
}
