"""Convolutional block attention module (CBAM)."""

import keras
from keras import ops

from recalib_keras.layers.bottleneck import BottleneckRecalibration
from recalib_keras.layers.convolution import Convolution
from recalib_keras.layers.recalibration import Recalibration


@keras.saving.register_keras_serializable(package="recalib_keras")
class ChannelAttention(BottleneckRecalibration):
    """The first half of CBAM: `Û = U · σ(MLP(mean U) + MLP(max U))`, mean and maximum over all spatial axes.

    `MLP(z) = W₁ δ(W₂ z)` with `W₂: C → C/r`, `W₁: C/r → C` is shared by both. Arguments as in `CBAM`.
    """

    public_name = "CBAM"

    def __init__(self, reduction_ratio=16, use_bias=True, **kwargs):
        super().__init__(reduction_ratio, use_bias, **kwargs)

    def compress(self, inputs):
        maximum = ops.max(inputs, axis=self.spatial_axes, keepdims=True)
        return self.mean(inputs, self.spatial_axes), ops.cast(maximum, self.wide_dtype)

    def process(self, descriptor):
        mean, maximum = (self.expand(ops.relu(self.reduce(pooled))) for pooled in descriptor)
        return mean + maximum


@keras.saving.register_keras_serializable(package="recalib_keras")
class SpatialAttention(Recalibration):
    """The second half of CBAM: `Û = U · σ(K [mean U, max U])`, mean and maximum over the channels.

    `K` is a 7×…×7 convolution from two channels to one. Arguments as in `CBAM`.
    """

    def __init__(self, kernel_size=7, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.use_bias = use_bias

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.neighbourhood = Convolution(
            1,
            kernel_size=self.kernel_size,
            use_bias=self.use_bias,
            data_format=self.data_format,
            kernel_initializer="zeros" if self.use_identity_start else "glorot_uniform",
            dtype=self.dtype_policy,
            name="neighbourhood",
        )
        self.neighbourhood.build((*input_shape[: self.channel_axis], 2, *input_shape[self.channel_axis + 1 :]))

    def compress(self, inputs):
        mean = ops.cast(self.mean(inputs, self.channel_axis), inputs.dtype)
        maximum = ops.max(inputs, axis=self.channel_axis, keepdims=True)
        return ops.concatenate([mean, maximum], axis=self.channel_axis)

    def process(self, descriptor):
        return self.neighbourhood(descriptor)

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable(package="recalib_keras")
class CBAM(Recalibration):
    """Rescales the channels, then the positions, by gates that see both the mean and the maximum.

    `U' = U · σ(MLP(mean U) + MLP(max U))` over space, then `Û = U' · σ(K [mean U', max U'])` over channels, with
    `MLP(z) = W₁ δ(W₂ z)` of hidden width `C/r` and `K` a convolution from two channels to one.

    Args:
        reduction_ratio: number from 1 to the number of channels, the `r` above. Defaults to 16.
        kernel_size: integer, of `K`, along every spatial axis. Defaults to 7.
        use_bias: whether all projections have a bias. Defaults to `True`.
        **kwargs: `data_format`, `use_identity_start` and the arguments of `keras.layers.Layer`;
            see `recalib_keras.layers.Recalibration`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`.

    Raises:
        ValueError: if `reduction_ratio` is below 1 or above the number of channels.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.CBAM(reduction_ratio=4)(keras.ops.ones((2, 16, 16, 8))).shape == (2, 16, 16, 8)
    True

    Reference:
        Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.
    """

    def __init__(self, reduction_ratio=16, kernel_size=7, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.reduction_ratio = reduction_ratio
        self.kernel_size = kernel_size
        self.use_bias = use_bias

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.channel = self.branch(ChannelAttention, self.reduction_ratio, name="channel")
        self.spatial = self.branch(SpatialAttention, self.kernel_size, name="spatial")
        self.channel.build(input_shape)
        self.spatial.build(input_shape)

    def compress(self, inputs):
        return self.channel.compress(inputs)

    def process(self, descriptor):
        return self.channel.process(descriptor)

    def recalibrate(self, inputs, logits):
        """Returns the inputs recalibrated along the channels, and then along space."""
        return self.spatial(self.channel.recalibrate(inputs, logits))

    def get_config(self):
        return {
            **super().get_config(),
            "reduction_ratio": self.reduction_ratio,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
        }
