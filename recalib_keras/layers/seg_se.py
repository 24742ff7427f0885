"""Recombination and spatially adaptive recalibration (SegSE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.convolution import Convolution, with_channels
from recalib_keras.layers.recalibration import Recalibration, reduced_channels


@keras.saving.register_keras_serializable(package="recalib_keras")
class SegSE(Recalibration):
    """Recombines the channels and rescales each value by a gate computed from its dilated neighbourhood.

    Recombination is linear: a 1×1 convolution `W_e: C → mC` before, and one `W_c: mC → C` after. In between, with
    `V = W_e U`, the gates are `σ(W₁ δ(K V))`, where `K: mC → mC/r` is a 3×…×3 convolution of dilation `d`
    and `W₁: mC/r → mC` a 1×1 convolution: `Û = W_c (V · σ(W₁ δ(K V)))`. With an `expansion_factor` of `None`
    there is no recombination, and `Û = U · σ(W₁ δ(K U))`.

    Args:
        reduction_ratio: The `r` above, from 1 to the number of (expanded) channels.
        dilation_rate: The `d` above, in voxels.
        expansion_factor: The `m` above, at least 1, or `None` for recalibration without recombination.
        use_bias: Whether all convolutions have a bias.
        **kwargs: `data_format`, `use_identity_start` (see `recalib_keras.layers.Recalibration`) and the arguments of
            `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`.

    Raises:
        ValueError: If `reduction_ratio` is below 1 or above the number of expanded channels, or if
            `expansion_factor` is below 1.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.SegSE(reduction_ratio=4, dilation_rate=2)(keras.ops.ones((2, 16, 16, 8))).shape == (2, 16, 16, 8)
    True

    Reference:
        Pereira et al., "Adaptive feature recombination and recalibration for semantic segmentation: application to
        brain tumor segmentation in MRI", MICCAI 2018. The authors' code also has a batch normalization after the
        dilated convolution, which this layer leaves out.
    """

    def __init__(
        self,
        reduction_ratio: float = 10,
        dilation_rate: int = 1,
        expansion_factor: int | None = 4,
        use_bias: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if expansion_factor is not None and expansion_factor < 1:
            raise ValueError(
                f"expected `expansion_factor` to be at least 1, or None for no recombination, got {expansion_factor}"
            )
        self.reduction_ratio = reduction_ratio
        self.dilation_rate = dilation_rate
        self.expansion_factor = expansion_factor
        self.use_bias = use_bias

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        width = self.channels * (self.expansion_factor or 1)
        expanded_shape = with_channels(input_shape, width, self.data_format)
        hidden = reduced_channels(width, self.reduction_ratio, "SegSE")
        self.neighbourhood = Convolution(
            hidden,
            kernel_size=3,
            dilation_rate=self.dilation_rate,
            use_bias=self.use_bias,
            data_format=self.data_format,
            trainable=self.trainable,
            dtype=self.dtype_policy,
            name="neighbourhood",
        )
        self.expand = self.pointwise(width, name="expand", use_bias=self.use_bias, makes_logits=True)
        self.neighbourhood.build(expanded_shape)
        self.expand.build(with_channels(input_shape, hidden, self.data_format))
        if self.expansion_factor is not None:
            self._build_recombination(input_shape, expanded_shape, width)

    def _build_recombination(self, input_shape, expanded_shape, width):
        self.recombine = self.pointwise(width, name="recombine", use_bias=self.use_bias)
        self.contract = self.pointwise(self.channels, name="contract", use_bias=self.use_bias)
        if self.use_identity_start:  # the first C of the mC channels pass the input on, the others start unused
            self.recombine.kernel_initializer = _leading_identity
            self.contract.kernel_initializer = _leading_identity
        self.recombine.build(input_shape)
        self.contract.build(expanded_shape)

    def call(self, inputs: Tensor) -> Tensor:
        if self.expansion_factor is None:
            return super().call(inputs)
        return self.contract(super().call(self.recombine(inputs)))

    def gates(self, inputs: Tensor) -> list[Tensor]:
        """Returns the gates, which broadcast to the expanded feature map `V`."""
        return super().gates(inputs if self.expansion_factor is None else self.recombine(inputs))

    def compress(self, inputs: Tensor) -> Tensor:
        return ops.relu(self.neighbourhood(inputs))

    def process(self, descriptor: Tensor) -> Tensor:
        return self.expand(descriptor)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "reduction_ratio": self.reduction_ratio,
            "dilation_rate": self.dilation_rate,
            "expansion_factor": self.expansion_factor,
            "use_bias": self.use_bias,
        }


def _leading_identity(shape, dtype=None):
    return ops.eye(*shape, dtype=dtype)
