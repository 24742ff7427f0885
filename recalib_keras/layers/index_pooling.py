"""Max pooling that remembers where its maxima stood, and the unpooling that puts them back."""

import functools

import keras
from keras import KerasTensor, ops

from recalib_keras.layers.acceleration import fused
from recalib_keras.layers.interleaving import deinterleave, doubled, halved, interleave, spatial_axes


@keras.saving.register_keras_serializable(package="recalib_keras")
class MaxPoolingWithIndices(keras.layers.Layer):
    """Halves every spatial axis and returns the maxima together with their places.

    Each non-overlapping 2×…×2 window yields its maximum and the place of that maximum in the window, counted in
    C order from 0 to 2ⁿ - 1; on ties the first place counts, and the gradient goes to that place alone.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)` with even spatial sizes.

    Output shape: a pair of `(batch, *(spatial / 2), channels)`: the maxima, and their places as uint8.

    Raises:
        ValueError: for an odd spatial size.

    Example:

    >>> import keras
    >>> from recalib_keras import layers
    >>> maxima, indices = layers.MaxPoolingWithIndices()(keras.ops.reshape(keras.ops.arange(4.0), (1, 2, 2, 1)))
    >>> float(maxima[0, 0, 0, 0]), int(indices[0, 0, 0, 0])
    (3.0, 3)

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015.
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format or keras.config.image_data_format()
        self._pool = fused(functools.partial(_pool, data_format=self.data_format))

    def call(self, inputs):
        halved(inputs.shape, self.data_format)  # names odd sizes before an operation stumbles over them
        return self._pool(inputs)

    def compute_output_spec(self, inputs):
        shape, _ = self.compute_output_shape(inputs.shape)
        return KerasTensor(shape, dtype=self.compute_dtype), KerasTensor(shape, dtype="uint8")

    def compute_output_shape(self, input_shape):
        shape = halved(input_shape, self.data_format)
        return shape, shape

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}


@keras.saving.register_keras_serializable(package="recalib_keras")
class MaxUnpooling(keras.layers.Layer):
    """Doubles every spatial axis: each value goes to the place its maximum had in pooling, all others are zero.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, *spatial, channels)`.
        indices: of the same shape, from `MaxPoolingWithIndices`.

    Output shape: `(batch, *(2 · spatial), channels)`.

    Raises:
        ValueError: if `inputs` and `indices` differ in shape.

    Example:

    >>> import keras
    >>> from recalib_keras import layers
    >>> image = keras.random.normal((1, 8, 8, 8, 2))
    >>> maxima, indices = layers.MaxPoolingWithIndices()(image)
    >>> layers.MaxUnpooling()(maxima, indices).shape == image.shape
    True

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015.
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format or keras.config.image_data_format()
        self._unpool = fused(functools.partial(_unpool, data_format=self.data_format))

    def call(self, inputs, indices):
        _check_same_shape(inputs.shape, indices.shape)
        return self._unpool(inputs, indices)

    def compute_output_shape(self, inputs_shape, indices_shape):
        _check_same_shape(inputs_shape, indices_shape)
        return doubled(inputs_shape, self.data_format)

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}


def _pool(inputs, data_format):
    maxima, indices = inputs, None
    # The innermost axis first: so a tie along an outer axis falls to the first place in C order.
    for bit, axis in enumerate(reversed(spatial_axes(len(inputs.shape), data_format))):
        even, odd = deinterleave(maxima, axis)
        is_odd = odd > even
        maxima = ops.where(is_odd, odd, even)
        inner = 0 if indices is None else ops.where(is_odd, *reversed(deinterleave(indices, axis)))
        indices = ops.cast(is_odd, "uint8") * 2**bit + inner
    return maxima, indices


def _unpool(inputs, indices, data_format):
    zeros = ops.zeros((), dtype=inputs.dtype)
    axes = spatial_axes(len(inputs.shape), data_format)
    for bit, axis in zip(reversed(range(len(axes))), axes):
        is_odd = indices >= 2**bit
        indices = ops.where(is_odd, indices - 2**bit, indices)
        inputs = interleave(ops.where(is_odd, zeros, inputs), ops.where(is_odd, inputs, zeros), axis)
        indices = interleave(indices, indices, axis)
    return inputs


def _check_same_shape(inputs_shape, indices_shape):
    inputs_shape, indices_shape = tuple(inputs_shape), tuple(indices_shape)
    sizes = zip(inputs_shape, indices_shape, strict=False)
    if len(inputs_shape) != len(indices_shape) or any(None not in pair and pair[0] != pair[1] for pair in sizes):
        raise ValueError(
            "Unpooling needs as many indices as values, channel by channel. "
            f"Received: inputs.shape={inputs_shape}, indices.shape={indices_shape}"
        )
