"""Instance normalization that is fast in any number of dimensions."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="recalib_keras")
class InstanceNormalization(keras.layers.GroupNormalization):
    """Gives each channel of each example mean 0 and variance 1, then a scale and an offset that are learnt.

        y = γ · (x − mean(x)) / √(var(x) + ε) + β, mean and variance over the spatial axes

    The same in training and inference, and the statistics of one image never meet those of another: what networks need
    that learn from images of any contrast. This is `keras.layers.GroupNormalization` with a group for each channel, in
    its arguments, weights and results. On TensorFlow, an input `(batch, *spatial, channels)` is seen as one image of
    `batch · channels` channels, for which there is a fused kernel; elsewhere, with another axis, and for weights or
    computations of another type than float32 and bfloat16, this is Keras's own layer.

    Args:
        epsilon: added to the variance. Defaults to 1e-3.
        **kwargs: other arguments of `keras.layers.GroupNormalization`, without `groups`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: the same.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.InstanceNormalization()(keras.ops.ones((2, 8, 8, 8, 4))).shape == (2, 8, 8, 8, 4)
    True

    Reference:
        Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.
    """

    def __init__(self, epsilon=1e-3, **kwargs):
        super().__init__(groups=-1, epsilon=epsilon, **kwargs)

    def call(self, inputs):
        if not self._can_fold(inputs):
            return super().call(inputs)
        shape = ops.shape(inputs)
        batch, channels = shape[0], shape[-1]
        # With a single example the transpositions move nothing, and TensorFlow copies nothing.
        folded = ops.transpose(ops.reshape(inputs, (batch, -1, channels)), (1, 0, 2))
        outputs = self._fused(ops.reshape(folded, (1, -1, 1, batch * channels)), batch, channels)
        unfolded = ops.transpose(ops.reshape(outputs, (-1, batch, channels)), (1, 0, 2))
        return ops.reshape(unfolded, shape)

    def get_config(self):
        config = super().get_config()
        del config["groups"]
        return config

    def _can_fold(self, inputs):
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) > 2
            and self.axis in (-1, len(inputs.shape) - 1)
            and self.compute_dtype in ("float32", "bfloat16")
            and self.variable_dtype == "float32"
        )

    def _fused(self, inputs, batch, channels):
        import tensorflow as tf

        scale = tf.ones(channels) if self.gamma is None else self.gamma
        offset = tf.zeros(channels) if self.beta is None else self.beta
        outputs, *_ = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            scale=tf.tile(tf.cast(scale, tf.float32), [batch]),
            offset=tf.tile(tf.cast(offset, tf.float32), [batch]),
            epsilon=self.epsilon,
            is_training=True,
        )
        return outputs
