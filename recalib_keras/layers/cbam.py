"""Convolutional block attention module (CBAM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.convolution import Convolution, with_channels
from recalib_keras.layers.recalibration import BottleneckRecalibration, Recalibration


@keras.saving.register_keras_serializable(package="recalib_keras")
class ChannelAttention(BottleneckRecalibration):
    """The first half of CBAM: `Û = U · σ(MLP(mean U) + MLP(max U))`, mean and maximum over all spatial axes.

    Both share `MLP(z) = W₁ δ(W₂ z)` with `W₂: C → C/r` and `W₁: C/r → C`.

    Args:
        reduction_ratio: The `r` above, from 1 to the number of channels.
        use_bias: Whether both projections have a bias.
        **kwargs: See `recalib_keras.layers.Recalibration`.
    """

    public_name = "CBAM"

    def __init__(self, reduction_ratio: float = 16, use_bias: bool = True, **kwargs: Any):
        super().__init__(reduction_ratio, use_bias, **kwargs)

    def compress(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        maximum = ops.max(inputs, axis=self.spatial_axes, keepdims=True)
        return self.mean(inputs, self.spatial_axes), ops.cast(maximum, self.wide_dtype)

    def process(self, descriptor: tuple[Tensor, Tensor]) -> Tensor:
        mean, maximum = (self.expand(ops.relu(self.reduce(pooled))) for pooled in descriptor)
        return mean + maximum


@keras.saving.register_keras_serializable(package="recalib_keras")
class SpatialAttention(Recalibration):
    """The second half of CBAM: `Û = U · σ(K [mean U, max U])`, mean and maximum over the channels.

    `K` is a convolution from two channels to one.

    Args:
        kernel_size: Size of `K` along every spatial axis.
        use_bias: Whether the convolution has a bias.
        **kwargs: See `recalib_keras.layers.Recalibration`.
    """

    def __init__(self, kernel_size: int = 7, use_bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.use_bias = use_bias

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.neighbourhood = Convolution(
            1,
            kernel_size=self.kernel_size,
            use_bias=self.use_bias,
            data_format=self.data_format,
            kernel_initializer="zeros" if self.use_identity_start else "glorot_uniform",
            trainable=self.trainable,
            dtype=self.dtype_policy,
            name="neighbourhood",
        )
        self.neighbourhood.build(with_channels(input_shape, 2, self.data_format))

    def compress(self, inputs: Tensor) -> Tensor:
        mean = ops.cast(self.mean(inputs, self.channel_axis), inputs.dtype)
        maximum = ops.max(inputs, axis=self.channel_axis, keepdims=True)
        return ops.concatenate([mean, maximum], axis=self.channel_axis)

    def process(self, descriptor: Tensor) -> Tensor:
        return self.neighbourhood(descriptor)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_size": self.kernel_size, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable(package="recalib_keras")
class CBAM(Recalibration):
    """Rescales the channels, then the positions, by gates computed from both the mean and the maximum.

    `U' = U · σ(MLP(mean U) + MLP(max U))` over space, then `Û = U' · σ(K [mean U', max U'])` over channels, with
    `MLP(z) = W₁ δ(W₂ z)` of hidden width `C/r` and `K` a convolution from two channels to one.

    Args:
        reduction_ratio: The `r` above, from 1 to the number of channels.
        kernel_size: Size of `K` along every spatial axis.
        use_bias: Whether all projections have a bias.
        **kwargs: `data_format`, `use_identity_start` (see `recalib_keras.layers.Recalibration`) and the arguments of
            `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`.

    Raises:
        ValueError: If `reduction_ratio` is below 1 or above the number of channels.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.CBAM(reduction_ratio=4)(keras.ops.ones((2, 16, 16, 8))).shape == (2, 16, 16, 8)
    True

    Reference:
        Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018.
    """

    def __init__(self, reduction_ratio: float = 16, kernel_size: int = 7, use_bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.reduction_ratio = reduction_ratio
        self.kernel_size = kernel_size
        self.use_bias = use_bias

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.channel = self.branch(ChannelAttention, self.reduction_ratio, name="channel")
        self.spatial = self.branch(SpatialAttention, self.kernel_size, name="spatial")
        self.channel.build(input_shape)
        self.spatial.build(input_shape)

    def compress(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.channel.compress(inputs)

    def process(self, descriptor: tuple[Tensor, Tensor]) -> Tensor:
        return self.channel.process(descriptor)

    def recalibrate(self, inputs: Tensor, logits: Tensor) -> Tensor:
        """Returns the inputs recalibrated along the channels, and then along space."""
        return self.spatial(self.channel.recalibrate(inputs, logits))

    def gates(self, inputs: Tensor) -> list[Tensor]:
        """Returns the gates of the channels, and those of the positions, which see the map after the first."""
        return self.channel.gates(inputs) + self.spatial.gates(self.channel(inputs))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "reduction_ratio": self.reduction_ratio,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
        }
