"""Look up the value of each voxel: by its example, by its label, or by its place in another volume."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from keras import ops

from recalib_keras.transforms import Tensor


def of_examples(values: Tensor, rank: int) -> Tensor:
    """Returns one value for each example, `(batch,)`, in a shape that broadcasts over a window of `rank` axes."""
    return ops.reshape(values, (-1,) + (1,) * rank)


def of_labels(values: Tensor, labels: Tensor) -> Tensor:
    """Returns the value of each voxel's label.

    Args:
        values: `(batch, labels)`, the value of each label in each example.
        labels: `(batch, *window)`, integer; each is an index into the second axis of `values`.
    """
    batch, count = values.shape
    starts = of_examples(ops.arange(batch, dtype="int32") * count, len(labels.shape) - 1)
    return ops.take(ops.reshape(values, (-1,)), ops.cast(labels, "int32") + starts)


def nearest_labels(label_maps: Tensor, places: Sequence[Tensor]) -> Tensor:
    """Returns the labels at given places: those of the nearest voxel; beyond the border those on the border.

    A place half-way between two voxels takes the upper one.

    Args:
        label_maps: `(batch, *sizes)`, integer.
        places: For each of the n axes `(batch, *window)`, in voxels.

    Returns:
        Tensor `(batch, *window)` of the label maps' type.
    """
    sizes = tuple(label_maps.shape[1:])
    indices = _first_voxels(label_maps.shape[0], sizes)
    for place, size, stride in zip(places, sizes, _strides(sizes)):
        nearest = ops.cast(ops.clip(place + 0.5, 0, size - 1), "int32")  # the cast rounds down
        indices = indices + nearest * stride
    return ops.take(ops.reshape(label_maps, (-1,)), indices)


def resample(images: Tensor, labels: Tensor, places: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns the values of images and labels at given places.

    All neighbours of a place lie at fixed distances from one of them in the flattened batch. So the indices are
    computed once for all neighbours.

    `nearest_labels` rounds places half-way between two voxels otherwise than this function, which rounds to the even
    one. Both stay as they are, because published weights were trained with them.

    Args:
        images: `(batch, *window)`, float; interpolated linearly, the edge continued beyond the border.
        labels: `(batch, *window)`, integer; nearest neighbour, background (0) beyond the border.
        places: For each of the n axes `(batch, *window)`, in voxels.

    Returns:
        Images and labels of the shape that the places have.
    """
    window = tuple(images.shape[1:])
    strides = _strides(window)
    lowest = nearest = _first_voxels(images.shape[0], window)
    fractions, is_inside = [], True
    for place, size, stride in zip(places, window, strides):
        within = ops.clip(place, 0, size - 1)
        floor = ops.clip(ops.floor(within), 0, max(0, size - 2))  # so that the last voxel is an upper neighbour
        fractions.append(within - floor)
        lowest = lowest + ops.cast(floor, "int32") * stride
        rounded = ops.round(place)
        is_inside = ops.logical_and(is_inside, ops.logical_and(rounded >= 0, rounded <= size - 1))
        nearest = nearest + ops.cast(ops.clip(rounded, 0, size - 1), "int32") * stride
    steps = [(0, stride if size > 1 else 0) for size, stride in zip(window, strides)]
    flat = ops.reshape(images, (-1,))
    neighbours = [ops.take(flat, lowest + sum(corner)) for corner in itertools.product(*steps)]
    found = ops.take(ops.reshape(labels, (-1,)), nearest)
    return _between(neighbours, fractions), ops.where(is_inside, found, ops.zeros_like(found))


def _between(neighbours, fractions):
    """Returns the values between the 2ⁿ neighbours of each place; neighbours along the last axis are adjacent."""
    for fraction in reversed(fractions):
        pairs = zip(neighbours[::2], neighbours[1::2])
        neighbours = [low + (high - low) * fraction for low, high in pairs]
    return neighbours[0]


def _first_voxels(batch, sizes):
    """Returns the index of each example's first voxel in the flattened batch, in a shape that broadcasts."""
    return of_examples(ops.arange(batch, dtype="int32") * math.prod(sizes), len(sizes))


def _strides(sizes):
    """Returns the distance of neighbours along each axis in the flattened batch."""
    return [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
