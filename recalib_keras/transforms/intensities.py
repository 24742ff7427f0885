"""Intensity changes: the smooth field of an uneven coil, gamma, contrast and brightness."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from recalib_keras.transforms import Tensor
from recalib_keras.transforms.lookup import of_examples
from recalib_keras.transforms.separable_operators import along_axes, b_spline

# Nodes of a bias field along each axis: one cubic polynomial, as the methods that correct such fields use.
BIAS_NODES = 4


def bias_logarithm(nodes: Tensor, window: Sequence[int]) -> Tensor:
    """Returns the logarithm of a bias field over a window, `(batch, *window)`: a cubic B-spline.

    Args:
        nodes: `(batch, *grid)`.
        window: n sizes in voxels.
    """
    return along_axes(nodes, [b_spline(count, size) for count, size in zip(nodes.shape[1:], window)])


def apply_bias_field(images: Tensor, nodes: Tensor) -> Tensor:
    """Returns normalised images under a smooth multiplicative field, as an uneven coil makes it.

    The geometric mean of the field over the window is 1, because normalisation removes the gain of a whole scan. A
    field multiplies what is measured, but normalised images have negative values. So the darkest voxel of an image
    counts as no signal: `darkest + (image - darkest) * field`.

    Args:
        images: `(batch, *window)`.
        nodes: `(batch, *grid)`, of the field's logarithm.
    """
    images = ops.convert_to_tensor(images)
    logarithm = bias_logarithm(nodes, images.shape[1:])
    axes = _window_axes(images)
    field = ops.exp(logarithm - ops.mean(logarithm, axis=axes, keepdims=True))
    darkest = ops.min(images, axis=axes, keepdims=True)
    return darkest + (images - darkest) * field


def change_contrast(images: Tensor, gammas: Tensor, contrasts: Tensor, brightnesses: Tensor) -> Tensor:
    """Returns `contrast * image**gamma + brightness`; the power leaves the extremes of each image as they are.

    Args:
        images: `(batch, *window)`.
        gammas: `(batch,)`.
        contrasts: `(batch,)`.
        brightnesses: `(batch,)`.
    """
    images = ops.convert_to_tensor(images)
    axes = _window_axes(images)
    low, high = ops.min(images, axis=axes, keepdims=True), ops.max(images, axis=axes, keepdims=True)
    images = change_gamma(images, gammas, low, ops.maximum(high - low, 1e-6))
    contrasts, brightnesses = (of_examples(values, len(axes)) for values in (contrasts, brightnesses))
    return images * contrasts + brightnesses


def change_gamma(images: Tensor, gammas: Tensor, low: Tensor | float, extent: Tensor | float) -> Tensor:
    """Returns images raised to a power on a scale that begins at `low`; `low` and `low + extent` stay as they are.

    Args:
        images: `(batch, *window)`, not below `low`.
        gammas: `(batch,)`.
        low: The value that counts as 0, a number or one for each example, broadcasting.
        extent: How far above it the value is that counts as 1, likewise.
    """
    # A compiler that computes `images` twice may round it once below its own minimum, where no power is defined.
    return low + extent * (ops.maximum(images - low, 0) / extent) ** of_examples(gammas, len(images.shape) - 1)


def _window_axes(images):
    return tuple(range(1, len(images.shape)))
