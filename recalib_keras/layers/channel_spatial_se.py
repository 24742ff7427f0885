"""Concurrent spatial and channel squeeze and excitation (scSE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.channel_se import ChannelSE
from recalib_keras.layers.convolution import with_channels
from recalib_keras.layers.recalibration import Recalibration
from recalib_keras.layers.spatial_se import SpatialSE

AGGREGATIONS = ("max", "add", "multiply", "concat")
IDENTITY_AGGREGATIONS = ("max", "add")  # those that gates can turn into the identity


@keras.saving.register_keras_serializable(package="recalib_keras")
class ChannelSpatialSE(Recalibration):
    """Recalibrates along the channels (cSE) and along space (sSE), and aggregates the two results.

    With `g_c` and `g_s` the gates of `ChannelSE` and `SpatialSE`, element by element:

    | aggregation  | output                  | channels |
    |--------------|-------------------------|----------|
    | `"max"`      | `max(U·g_c, U·g_s)`     | C        |
    | `"add"`      | `U·g_c + U·g_s`         | C        |
    | `"multiply"` | `U·g_c × U·g_s`         | C        |
    | `"concat"`   | `[U·g_c, U·g_s]`        | 2C       |

    Args:
        reduction_ratio: Of the channel part, from 1 to the number of channels.
        aggregation: `"max"` (which the TMI paper recommends), `"add"` (as in the MICCAI paper), `"multiply"` or
            `"concat"`.
        use_bias: Whether all projections have a bias, as in the authors' layers; the papers count none.
        **kwargs: `data_format`, `use_identity_start` (see `recalib_keras.layers.Recalibration`) and the arguments of
            `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`, with twice the channels for `"concat"`.

    Raises:
        ValueError: For an unknown `aggregation`; if `reduction_ratio` is below 1 or above the number of channels; for
            `use_identity_start` with `"multiply"`, which squares its input, or `"concat"`, which doubles the channels.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.ChannelSpatialSE(aggregation="concat")(keras.ops.ones((2, 32, 32, 8))).shape == (2, 32, 32, 16)
    True

    Reference:
        Roy et al., "Recalibrating Fully Convolutional Networks with Spatial and Channel 'Squeeze and Excitation'
        Blocks", IEEE TMI 2019.
    """

    is_fused = True

    def __init__(self, reduction_ratio: float = 2, aggregation: str = "max", use_bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        check_aggregation(aggregation, use_identity_start=self.use_identity_start)
        self.reduction_ratio = reduction_ratio
        self.aggregation = aggregation
        self.use_bias = use_bias

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        self.channel = self.branch(ChannelSE, self.reduction_ratio, name="channel")
        self.spatial = self.branch(SpatialSE, name="spatial")
        self.channel.build(input_shape)
        self.spatial.build(input_shape)

    def compress(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.channel.compress(inputs), self.spatial.compress(inputs)

    def process(self, descriptor: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        channel, spatial = descriptor
        return self.channel.process(channel), self.spatial.process(spatial)

    def recalibrate(self, inputs: Tensor, logits: tuple[Tensor, Tensor]) -> Tensor:
        channel, spatial = logits
        if self.aggregation == "add":  # one pass over the inputs; on identity start the gates 1 and 1 average to 1
            gates = self.channel.gate(channel) + self.spatial.gate(spatial)
            return inputs * ops.cast(gates / 2 if self.use_identity_start else gates, inputs.dtype)
        if self.aggregation == "concat":
            return self._concatenated(inputs, self.channel.gate(channel), self.spatial.gate(spatial))
        by_channel = self.channel.recalibrate(inputs, channel)
        by_space = self.spatial.recalibrate(inputs, spatial)
        return ops.maximum(by_channel, by_space) if self.aggregation == "max" else by_channel * by_space

    def gates(self, inputs: Tensor) -> list[Tensor]:
        """Returns the gates of the channels and those of the positions."""
        return self.channel.gates(inputs) + self.spatial.gates(inputs)

    def _concatenated(self, inputs, by_channel, by_space):
        """Returns the inputs times one gate and times the other, side by side.

        They lie along a new axis of size 2 before the channels, which is then merged with them: XLA computes this in
        one pass, but copies for a concatenation.
        """
        is_first = ops.reshape(
            ops.arange(2) == 0, [2 if axis == self.channel_axis else 1 for axis in range(len(inputs.shape) + 1)]
        )
        inputs, by_channel, by_space = (ops.expand_dims(x, self.channel_axis) for x in (inputs, by_channel, by_space))
        pair = inputs * ops.cast(ops.where(is_first, by_channel, by_space), inputs.dtype)
        shape = list(ops.shape(pair))
        return ops.reshape(pair, [*shape[: self.channel_axis], 2 * self.channels, *shape[self.channel_axis + 2 :]])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        if self.aggregation != "concat":
            return input_shape
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        return with_channels(input_shape, 2 * channels, self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "reduction_ratio": self.reduction_ratio,
            "aggregation": self.aggregation,
            "use_bias": self.use_bias,
        }


def check_aggregation(aggregation: str, use_identity_start: bool) -> None:
    """Checks that the two maps can be aggregated in this way.

    Args:
        aggregation: One of `AGGREGATIONS`.
        use_identity_start: Whether the block starts as the identity.

    Raises:
        ValueError: For an unknown aggregation, and for one that cannot start as the identity.
    """
    if aggregation not in AGGREGATIONS:
        raise ValueError(f"expected `aggregation` to be one of {AGGREGATIONS}, got {aggregation!r}")
    if use_identity_start and aggregation not in IDENTITY_AGGREGATIONS:
        raise ValueError(
            f"expected `aggregation` to be one of {IDENTITY_AGGREGATIONS} with `use_identity_start`, got "
            f"{aggregation!r}; 'multiply' squares its input and 'concat' doubles the channels, whatever the gates"
        )
