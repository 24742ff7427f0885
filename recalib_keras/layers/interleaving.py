"""Halving and doubling along one axis: what pooling with indices, unpooling and up-sampling are made of."""

from keras import ops


def spatial_axes(rank, data_format):
    """Returns the spatial axes of a tensor of `rank` axes, batch and channels counted in."""
    return tuple(range(1, rank - 1)) if data_format == "channels_last" else tuple(range(2, rank))


def deinterleave(inputs, axis):
    """Returns the values at even and those at odd places along `axis`, each of half its size."""
    shape = ops.shape(inputs)
    pairs = ops.reshape(inputs, (*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :]))
    before = (slice(None),) * (axis + 1)
    return pairs[(*before, 0)], pairs[(*before, 1)]


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
