"""Batch and instance normalization that are fast in any number of dimensions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor


@keras.saving.register_keras_serializable(package="recalib_keras", name="BatchNormalization")
class FoldedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization, computed by TensorFlow's fused kernel for inputs of any rank.

        y = γ · (x − mean(x)) / √(var(x) + ε) + β, mean and variance over the batch and the spatial axes

    Weights, arguments, config and results are those of `keras.layers.BatchNormalization`. On TensorFlow, an input
    `(batch, *spatial, channels)` is folded to `(batch, positions, 1, channels)`, for which TensorFlow has a fused
    kernel of training and inference. Keras's own layer computes on other backends, and for the uncommon options (mask,
    renorm, synchronized, another axis, weights of another type than float32).

    Input shape: `(batch, *spatial, channels)`.

    Output shape: The input's.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.FoldedBatchNormalization()(keras.ops.ones((2, 8, 8, 8, 4)), training=True).shape == (2, 8, 8, 8, 4)
    True

    Reference:
        Ioffe & Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
        ICML 2015.
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
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
            population_variance = variance * (count - 1) / count  # the kernel applies Bessel's correction
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, population_variance)):
                moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


# Keras names weights in files after the class. The layer keeps the name that it has in files of earlier versions.
FoldedBatchNormalization.__name__ = "BatchNormalization"


@keras.saving.register_keras_serializable(package="recalib_keras")
class InstanceNormalization(keras.layers.GroupNormalization):
    """Gives each channel of each example mean 0 and variance 1, then a learned scale and offset.

        y = γ · (x − mean(x)) / √(var(x) + ε) + β, mean and variance over the spatial axes

    Training and inference compute the same, and the statistics of one image do not affect another image: this suits
    networks that learn from images of any contrast. Arguments, weights and results are those of
    `keras.layers.GroupNormalization` with a group for each channel. On TensorFlow, an input
    `(batch, *spatial, channels)` is treated as one image of `batch · channels` channels, for which TensorFlow has a
    fused kernel. Keras's own layer computes on other backends, for another axis, and for weights or computations of
    another type than float32 and bfloat16.

    Args:
        epsilon: Added to the variance.
        **kwargs: Other arguments of `keras.layers.GroupNormalization`, except `groups`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: The input's.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.InstanceNormalization()(keras.ops.ones((2, 8, 8, 8, 4))).shape == (2, 8, 8, 8, 4)
    True

    Reference:
        Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(groups=-1, epsilon=epsilon, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        if not self._can_fold(inputs):
            return super().call(inputs)
        shape = ops.shape(inputs)
        batch, channels = shape[0], shape[-1]
        # With a single example the transpositions move nothing, and TensorFlow copies nothing.
        folded = ops.transpose(ops.reshape(inputs, (batch, -1, channels)), (1, 0, 2))
        outputs = self._fused(ops.reshape(folded, (1, -1, 1, batch * channels)), batch, channels)
        unfolded = ops.transpose(ops.reshape(outputs, (-1, batch, channels)), (1, 0, 2))
        return ops.reshape(unfolded, shape)

    def get_config(self) -> dict[str, Any]:
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
