"""Change the intensities of images, as another scanner or protocol would have."""

from keras import ops

from recalib_keras.transforms.separable_operators import along_axes, smooth_spline


def shade(images, nodes):
    """Returns images under a smooth multiplicative field, as an uneven coil makes it.

    The field is the exponential of a cubic B-spline, and its geometric mean over the window is 1: normalisation takes
    out the gain of a whole scan. A field multiplies what is measured, but normalised images have negative values. So
    the image's darkest voxel is taken as no signal: `darkest + (image - darkest) * field`.

    Args:
        images: `(batch, *window)`.
        nodes: `(batch, *grid)`, of the field's logarithm.
    """
    images = ops.convert_to_tensor(images)
    logarithm = along_axes(
        nodes, [smooth_spline(count, size) for count, size in zip(nodes.shape[1:], images.shape[1:])]
    )
    axes = _window_axes(images)
    field = ops.exp(logarithm - ops.mean(logarithm, axis=axes, keepdims=True))
    darkest = ops.min(images, axis=axes, keepdims=True)
    return darkest + (images - darkest) * field


def change_contrast(images, gammas, contrasts, brightnesses):
    """Returns `contrast * image**gamma + brightness`; the power is taken between the image's extremes, which it keeps.

    Args:
        images: `(batch, *window)`.
        gammas, contrasts, brightnesses: `(batch,)`.
    """
    images = ops.convert_to_tensor(images)
    axes = _window_axes(images)
    low, high = ops.min(images, axis=axes, keepdims=True), ops.max(images, axis=axes, keepdims=True)
    extent = ops.maximum(high - low, 1e-6)
    gammas, contrasts, brightnesses = (
        ops.reshape(values, (-1,) + (1,) * len(axes)) for values in (gammas, contrasts, brightnesses)
    )
    # A compiler that computes `images` twice may round it once below its own minimum, where no power is defined.
    images = low + extent * (ops.maximum(images - low, 0) / extent) ** gammas
    return images * contrasts + brightnesses


def _window_axes(images):
    return tuple(range(1, len(images.shape)))
