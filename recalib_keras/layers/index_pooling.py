"""Max pooling that remembers where its maxima stood, and the unpooling that puts them back."""

import functools

import keras
from keras import KerasTensor, ops

from recalib_keras.layers.acceleration import fused
from recalib_keras.layers.interleaving import by_place, doubled, halved, places, repeat


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
        self._pool = fused(
            functools.partial(_pool, data_format=self.data_format),
            transpose=functools.partial(_unpool, data_format=self.data_format),
        )

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
        self._unpool = fused(
            functools.partial(_unpool, data_format=self.data_format),
            transpose=functools.partial(_pick, data_format=self.data_format),
        )

    def call(self, inputs, indices):
        _check_same_shape(inputs.shape, indices.shape)
        return self._unpool(inputs, indices)

    def compute_output_shape(self, inputs_shape, indices_shape):
        _check_same_shape(inputs_shape, indices_shape)
        return doubled(inputs_shape, self.data_format)

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}


def _pool(inputs, data_format):
    maxima, *others = by_place(inputs, data_format)
    indices = ops.zeros_like(maxima, dtype="uint8")
    for place, values in enumerate(others, start=1):
        is_larger = values > maxima
        maxima = ops.where(is_larger, values, maxima)
        indices = ops.where(is_larger, ops.cast(place, "uint8"), indices)
    return maxima, indices


def _unpool(inputs, indices, data_format):
    is_place = repeat(indices, data_format) == places(doubled(ops.shape(indices), data_format), data_format)
    return ops.where(is_place, repeat(inputs, data_format), ops.zeros((), dtype=inputs.dtype))


def _pick(inputs, indices, data_format):
    """Returns the value at the indexed place of each window: the transpose of unpooling."""
    picked, *others = by_place(inputs, data_format)
    for place, values in enumerate(others, start=1):
        picked = ops.where(indices == place, values, picked)
    return picked


def _check_same_shape(inputs_shape, indices_shape):
    inputs_shape, indices_shape = tuple(inputs_shape), tuple(indices_shape)
    sizes = zip(inputs_shape, indices_shape, strict=False)
    if len(inputs_shape) != len(indices_shape) or any(None not in pair and pair[0] != pair[1] for pair in sizes):
        raise ValueError(
            "Unpooling needs as many indices as values, channel by channel. "
            f"Received: inputs.shape={inputs_shape}, indices.shape={indices_shape}"
        )
