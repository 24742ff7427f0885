"""Spatial squeeze and channel excitation (cSE)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.recalibration import BottleneckRecalibration


@keras.saving.register_keras_serializable(package="recalib_keras")
class ChannelSE(BottleneckRecalibration):
    """Rescales each channel by a gate computed from the means of all channels.

    With `z` the mean of `U` over all spatial axes, `Û = U · σ(W₁ δ(W₂ z))`, where `δ` is the ReLU,
    `W₂: C → C/r` and `W₁: C/r → C`. Adds `2·C·(C//r)` weights, and `C + C//r` biases with `use_bias`.

    Args:
        reduction_ratio: The `r` above, from 1 to the number of channels.
        use_bias: Whether both projections have a bias, as in the authors' layers; the papers count none.
        **kwargs: `data_format`, `use_identity_start` (see `recalib_keras.layers.Recalibration`) and the arguments of
            `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`.

    Raises:
        ValueError: If `reduction_ratio` is below 1 or above the number of channels.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.ChannelSE(reduction_ratio=4)(keras.ops.ones((2, 16, 16, 16, 8))).shape == (2, 16, 16, 16, 8)
    True

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018; for segmentation, Roy et al., "Concurrent Spatial and
        Channel Squeeze & Excitation in Fully Convolutional Networks", MICCAI 2018.
    """

    is_fused = True

    def __init__(self, reduction_ratio: float = 2, use_bias: bool = True, **kwargs: Any):
        super().__init__(reduction_ratio, use_bias, **kwargs)

    def compress(self, inputs: Tensor) -> Tensor:
        return self.mean(inputs, self.spatial_axes)

    def process(self, descriptor: Tensor) -> Tensor:
        return self.expand(ops.relu(self.reduce(descriptor)))
