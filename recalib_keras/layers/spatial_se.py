"""Channel squeeze and spatial excitation (sSE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.recalibration import Recalibration


@keras.saving.register_keras_serializable(package="recalib_keras")
class SpatialSE(Recalibration):
    """Rescales each position by a gate computed from the channels there.

    `Û = U · σ(W ⋆ U)` with `W` a 1×1 convolution from `C` channels to one. Adds `C` weights, and one bias with
    `use_bias`.

    Args:
        use_bias: Whether the convolution has a bias, as in the authors' layers; the papers count none.
        **kwargs: `data_format`, `use_identity_start` (see `recalib_keras.layers.Recalibration`) and the arguments of
            `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.SpatialSE()(keras.ops.ones((2, 32, 32, 8))).shape == (2, 32, 32, 8)
    True

    Reference:
        Roy et al., "Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks", MICCAI 2018.
    """

    is_fused = True

    def __init__(self, use_bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.use_bias = use_bias

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.squeeze = self.pointwise(1, name="squeeze", use_bias=self.use_bias, makes_logits=True)
        self.squeeze.build(input_shape)

    def compress(self, inputs: Tensor) -> Tensor:
        return self.squeeze(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_bias": self.use_bias}
