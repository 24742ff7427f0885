"""Normalisation of each example's intensities to the scale that networks expect, on the device."""

from __future__ import annotations

import math

from keras import ops

from recalib_keras.transforms import Tensor
from recalib_keras.transforms.lookup import of_examples
from recalib_keras.volumes.normalization import HIGH_PERCENTILE, LOW_PERCENTILE, THRESHOLD_STEPS

PERCENTILES = LOW_PERCENTILE, HIGH_PERCENTILE
# Percentiles are those of about this many voxels, evenly spread. To sort all would take longer than everything else,
# and the rank of a percentile differs by a few hundredths of a per cent.
SORTED = 2**16


def normalize(images: Tensor, method: str) -> Tensor:
    """Returns each image normalised as by `recalib_keras.volumes.normalize`, but with percentiles of a sample.

    Args:
        images: `(batch, *window)`.
        method: One of `METHODS`.
    """
    if method == "none":
        return images
    axes = tuple(range(1, len(images.shape)))
    if method == "zscore":
        mean, deviation = (f(images, axis=axes, keepdims=True) for f in (ops.mean, ops.std))
        return (images - mean) / ops.maximum(deviation, 1e-6)
    low, high = (of_examples(value, len(axes)) for value in _range(images))
    return ops.clip((images - low) / ops.maximum(high - low, 1e-6), 0, 1)


def _range(images):
    """Returns the values that become 0 and 1, `(batch,)` each."""
    flat = ops.reshape(images, (images.shape[0], -1))
    step = flat.shape[1] // SORTED or 1
    while math.gcd(step, math.prod(images.shape[2:])) > 1:  # so that the sample meets every part of every line
        step += 1
    sample = flat[:, ::step]
    values, last = ops.sort(sample, axis=1), sample.shape[1] - 1
    low, most = (_at(values, ops.full_like(values[:, 0], percent / 100 * last)) for percent in PERCENTILES)
    is_bright = sample > _threshold(ops.clip(sample, low[:, None], most[:, None]))
    # How many are dark: in `values`, the bright ones follow.
    dark = ops.sum(ops.cast(ops.logical_not(is_bright), values.dtype), axis=1)
    return low, _at(values, ops.minimum(dark + HIGH_PERCENTILE / 100 * (last - dark), last))


def _threshold(rows):
    """Returns the threshold of each row between dark and bright, `(batch, 1)`, as `recalib_keras.volumes` does."""
    threshold = ops.mean(rows, axis=1, keepdims=True)
    for _ in range(THRESHOLD_STEPS):
        is_bright = ops.cast(rows > threshold, rows.dtype)
        means = [
            ops.sum(rows * weights, axis=1, keepdims=True) / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1)
            for weights in (1 - is_bright, is_bright)
        ]
        threshold = ops.where(ops.any(rows > threshold, axis=1, keepdims=True), (means[0] + means[1]) / 2, threshold)
    return threshold


def _at(values, places):
    """Returns the value of each sorted row at a place, interpolated between two values of the row."""
    below = ops.cast(places, "int32")
    above = ops.minimum(below + 1, values.shape[1] - 1)
    first, second = (ops.take_along_axis(values, place[:, None], axis=1)[:, 0] for place in (below, above))
    return first + (places - ops.cast(below, values.dtype)) * (second - first)
