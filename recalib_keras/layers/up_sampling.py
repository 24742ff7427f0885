"""Up-sampling by two in any number of dimensions."""

import functools

import keras
from keras import ops

from recalib_keras.layers.acceleration import fused
from recalib_keras.layers.interleaving import by_place, doubled, interleave, repeat, spatial_axes

INTERPOLATIONS = ("nearest", "linear")


@keras.saving.register_keras_serializable(package="recalib_keras")
class UpSampling(keras.layers.Layer):
    """Doubles every spatial axis by repetition or by linear interpolation.

    `"linear"` is bilinear in 2-D and trilinear in 3-D, with the voxels' centres half a voxel inside the borders and
    the border values held beyond them (PyTorch's `align_corners=False`, Keras's `UpSampling2D("bilinear")`).

    Args:
        interpolation: `"nearest"` or `"linear"`. Defaults to `"nearest"`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *(2 · spatial), channels)`.

    Raises:
        ValueError: for an unknown `interpolation`.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.UpSampling("linear")(keras.ops.ones((1, 4, 6, 8, 2))).shape == (1, 8, 12, 16, 2)
    True
    """

    def __init__(self, interpolation="nearest", data_format=None, **kwargs):
        super().__init__(**kwargs)
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"`interpolation` must be one of {INTERPOLATIONS}. Received: interpolation={interpolation!r}"
            )
        self.interpolation = interpolation
        self.data_format = data_format or keras.config.image_data_format()
        if interpolation == "nearest":
            self._up_sample = fused(
                functools.partial(repeat, data_format=self.data_format),
                transpose=functools.partial(_sum, data_format=self.data_format),
            )
        else:
            self._up_sample = fused(functools.partial(_interpolate, data_format=self.data_format))

    def call(self, inputs):
        return self._up_sample(inputs)

    def compute_output_shape(self, input_shape):
        return doubled(input_shape, self.data_format)

    def get_config(self):
        return {**super().get_config(), "interpolation": self.interpolation, "data_format": self.data_format}


def _sum(inputs, data_format):
    """Returns the sum of each window: the transpose of repetition."""
    return sum(by_place(inputs, data_format))


def _interpolate(inputs, data_format):
    for axis in spatial_axes(len(inputs.shape), data_format):
        inputs = interleave(*_halfway(inputs, axis), axis)
    return inputs


def _halfway(inputs, axis):
    """Returns the values a quarter of a voxel before and after each voxel's centre."""
    before = (slice(None),) * axis
    previous = ops.concatenate([inputs[(*before, slice(None, 1))], inputs[(*before, slice(None, -1))]], axis=axis)
    following = ops.concatenate([inputs[(*before, slice(1, None))], inputs[(*before, slice(-1, None))]], axis=axis)
    return 0.75 * inputs + 0.25 * previous, 0.75 * inputs + 0.25 * following
