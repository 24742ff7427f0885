"""Bring the intensities of each example to the scale that networks expect, on the device."""

import math

from keras import ops

from recalib_keras.volumes.normalization import ROBUST_PERCENTILES

METHODS = ("zscore", "percentile", "none")
# Percentiles are those of about this many voxels, evenly spread: to sort all would take longer than all the rest, and
# the rank of a percentile differs by some hundredths of one.
SORTED = 2**16


def normalize(images, method):
    """Returns what `recalib_keras.volumes.normalize` makes of each image; percentiles are those of a sample.

    Args:
        images: `(batch, *window)`.
        method: one of `METHODS`.
    """
    if method == "none":
        return images
    axes = tuple(range(1, len(images.shape)))
    if method == "zscore":
        mean, deviation = (f(images, axis=axes, keepdims=True) for f in (ops.mean, ops.std))
        return (images - mean) / ops.maximum(deviation, 1e-6)
    low, high = (ops.reshape(value, (-1,) + (1,) * len(axes)) for value in _percentiles(images))
    return ops.clip((images - low) / ops.maximum(high - low, 1e-6), 0, 1)


def _percentiles(images):
    flat = ops.reshape(images, (images.shape[0], -1))
    step = flat.shape[1] // SORTED or 1
    while math.gcd(step, math.prod(images.shape[2:])) > 1:  # the sample meets every part of every line
        step += 1
    values = ops.sort(flat[:, ::step], axis=1)
    return [_at(values, percent / 100 * (values.shape[1] - 1)) for percent in ROBUST_PERCENTILES]


def _at(values, place):
    """Returns the value at a place between two of a sorted row."""
    below = int(place)
    above = min(below + 1, values.shape[1] - 1)
    return values[:, below] + (place - below) * (values[:, above] - values[:, below])
