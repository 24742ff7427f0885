"""Batch normalization that is fast in any number of dimensions."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="recalib_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization, through TensorFlow's fused kernel for inputs of any rank.

    Weights, arguments, config and results are those of `keras.layers.BatchNormalization`. On TensorFlow, an input
    `(batch, *spatial, channels)` is folded to `(batch, positions, 1, channels)`, for which a fused kernel of training
    and inference exists; elsewhere, and for the uncommon options (mask, renorm, synchronized, another axis,
    weights of another type than float32), this is Keras's own layer.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.BatchNormalization()(keras.ops.ones((2, 8, 8, 8, 4)), training=True).shape == (2, 8, 8, 8, 4)
    True
    """

    def call(self, inputs, training=None, mask=None):
        if mask is not None or not self._can_fold(inputs):
            return super().call(inputs, training=training, mask=mask)
        shape = ops.shape(inputs)
        folded = ops.reshape(inputs, (shape[0], -1, 1, shape[-1]))
        outputs = self._fused(folded, is_training=bool(training and self.trainable))
        return ops.reshape(ops.cast(outputs, self.compute_dtype), shape)

    def _can_fold(self, inputs):
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) > 2
            and self.axis in (-1, len(inputs.shape) - 1)
            and self.variable_dtype == "float32"
            and not (self.renorm or self.synchronized)
        )

    def _fused(self, inputs, is_training):
        import tensorflow as tf

        channels = inputs.shape[-1]
        moving = {} if is_training else {"mean": self.moving_mean, "variance": self.moving_variance}
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            scale=tf.ones(channels) if self.gamma is None else self.gamma,
            offset=tf.zeros(channels) if self.beta is None else self.beta,
            epsilon=self.epsilon,
            is_training=is_training,
            **{name: tf.convert_to_tensor(value) for name, value in moving.items()},
        )
        if is_training:
            count = tf.cast(tf.size(inputs) // channels, variance.dtype)
            population_variance = variance * (count - 1) / count  # the kernel's has Bessel's correction
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, population_variance)):
                moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs
