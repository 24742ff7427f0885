"""Move the voxels of images and their labels: where each one comes from, and what it finds there."""

import itertools
import math

from keras import ops

from recalib_keras.transforms.separable_operators import along_axes, linear


def source_places(window, matrices, shifts, nodes=None):
    """Returns where in the source each voxel of the result comes from.

    Args:
        window: tuple of n sizes.
        matrices: `(batch, n, n)`, from the axes of the result to those of the source, about the window's centre, both
            in voxels.
        shifts: `(batch, n)`, in voxels.
        nodes: `(batch, n, *grid)`, displacements in voxels at the nodes of a coarse grid over the window, joined by
            straight lines; or None.

    Returns:
        List of n tensors `(batch, *window)`: the place along each axis, in voxels.
    """
    # Sums rather than a product of matrices, which GPUs may round to the ten bits of TF32: hundredths of a voxel.
    lines = [ops.arange(size, dtype="float32") - (size - 1) / 2 for size in window]
    offsets = [_along(axis, line, window) for axis, line in enumerate(lines)]
    displacements = None if nodes is None else _displacements(nodes, window)
    places = []
    for axis, size in enumerate(window):
        place = _of_each_example(shifts[:, axis] + (size - 1) / 2, window)
        for other, offset in enumerate(offsets):
            place = place + _of_each_example(matrices[:, axis, other], window) * offset
        places.append(place if displacements is None else place + displacements[:, axis])
    return places


def resample(images, labels, places):
    """Returns what images and labels have at given places.

    All neighbours of a place are found in the flattened batch, at fixed distances from one of them; so one
    calculation of indices serves them all, and the whole batch.

    Args:
        images: `(batch, *window)`, float; interpolated linearly, the edge continued beyond the border.
        labels: `(batch, *window)`, integer; the nearest one, background (0) beyond the border.
        places: n tensors `(batch, *window)`, in voxels.
    """
    window = tuple(images.shape[1:])
    strides = [math.prod(window[axis + 1 :]) for axis in range(len(window))]
    starts = ops.arange(images.shape[0], dtype="int32") * math.prod(window)
    lowest = nearest = _of_each_example(starts, window)
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
    """Returns the values between the 2ⁿ neighbours of each place; neighbours along the last axis stand side by side."""
    for fraction in reversed(fractions):
        pairs = zip(neighbours[::2], neighbours[1::2])
        neighbours = [low + (high - low) * fraction for low, high in pairs]
    return neighbours[0]


def _displacements(nodes, window):
    batch, rank, *grid = nodes.shape
    matrices = [linear(count, size) for count, size in zip(grid, window)]
    spread = along_axes(ops.reshape(nodes, (batch * rank, *grid)), matrices)
    return ops.reshape(spread, (batch, rank, *window))


def _along(axis, values, window):
    """Returns a line of values, shaped to stand along one axis of the windows of a batch."""
    return ops.reshape(values, (1,) * (axis + 1) + (-1,) + (1,) * (len(window) - axis - 1))


def _of_each_example(values, window):
    """Returns one value for each example, shaped to stand for its whole window."""
    return ops.reshape(values, (-1,) + (1,) * len(window))
