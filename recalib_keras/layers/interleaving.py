"""Halving and doubling of spatial axes: what pooling with indices, unpooling and up-sampling are made of.

Doubled axes are seen as windows: each axis of size `2·m` as an axis of `m` windows and one of the 2 places in them.
"""

import itertools

from keras import ops


def spatial_axes(rank, data_format):
    """Returns the spatial axes of a tensor of `rank` axes, batch and channels counted in."""
    return tuple(range(1, rank - 1)) if data_format == "channels_last" else tuple(range(2, rank))


def by_place(inputs, data_format):
    """Returns the values at each place of all 2×…×2 windows: 2ⁿ tensors of half the size, places in C order."""
    rank = len(inputs.shape)
    axes = spatial_axes(rank, data_format)
    windows = ops.reshape(inputs, _split(ops.shape(inputs), axes, lambda size: (size // 2, 2)))
    return [windows[_at(place, rank, axes)] for place in itertools.product((0, 1), repeat=len(axes))]


def repeat(inputs, data_format):
    """Returns a tensor of twice the size with each value at all places of its window."""
    axes = spatial_axes(len(inputs.shape), data_format)
    windows = ops.reshape(inputs, _split(ops.shape(inputs), axes, lambda size: (size, 1)))
    # Tiled, not broadcast: TensorFlow without XLA does not broadcast so many axes.
    windows = ops.tile(windows, _split([1] * len(inputs.shape), axes, lambda _: (1, 2)))
    return ops.reshape(windows, doubled(ops.shape(inputs), data_format))


def places(shape, data_format):
    """Returns the place in its window of every position of a tensor of a shape; uint8, of size 1 along other axes."""
    axes = spatial_axes(len(shape), data_format)
    sum_of_bits = 0
    for bit, axis in zip(reversed(range(len(axes))), axes):
        is_odd = ops.cast(ops.arange(shape[axis]) % 2, "uint8")
        sum_of_bits = sum_of_bits + 2**bit * ops.reshape(is_odd, [-1 if a == axis else 1 for a in range(len(shape))])
    return sum_of_bits


def interleave(even, odd, axis):
    """Returns a tensor of twice the size along `axis`, with `even` at its even and `odd` at its odd places."""
    shape = ops.shape(even)
    return ops.reshape(ops.stack([even, odd], axis=axis + 1), (*shape[:axis], shape[axis] * 2, *shape[axis + 1 :]))


def halved(shape, data_format):
    """Returns the shape with every spatial size halved; unknown sizes stay unknown.

    Raises:
        ValueError: if a spatial size is odd.
    """
    spatial = spatial_axes(len(shape), data_format)
    if any(shape[axis] is not None and shape[axis] % 2 for axis in spatial):
        raise ValueError(
            f"Every spatial size must be even to be halved; pad or crop the odd ones. Received: shape={tuple(shape)}"
        )
    return tuple(size // 2 if axis in spatial and size is not None else size for axis, size in enumerate(shape))


def doubled(shape, data_format):
    """Returns the shape with every spatial size doubled; unknown sizes stay unknown."""
    spatial = spatial_axes(len(shape), data_format)
    return tuple(size * 2 if axis in spatial and size is not None else size for axis, size in enumerate(shape))


def _at(place, rank, axes):
    """Returns the index of one place in all windows."""
    coordinates = iter(place)
    return tuple(_split([slice(None)] * rank, axes, lambda every: (every, next(coordinates))))


def _split(entries, axes, parts):
    """Returns a list with one entry for each axis, those of `axes` replaced by their two `parts`."""
    return [part for axis, entry in enumerate(entries) for part in (parts(entry) if axis in axes else (entry,))]
