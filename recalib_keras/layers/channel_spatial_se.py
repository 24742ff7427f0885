"""Concurrent spatial and channel squeeze and excitation (scSE)."""

import keras
from keras import ops

from recalib_keras.layers.channel_se import ChannelSE
from recalib_keras.layers.recalibration import Recalibration
from recalib_keras.layers.spatial_se import SpatialSE

AGGREGATIONS = ("max", "add", "multiply", "concat")


@keras.saving.register_keras_serializable(package="recalib_keras")
class ChannelSpatialSE(Recalibration):
    """Recalibrates along channels (cSE) and along space (sSE) at once, and joins the two.

    With `g_c` and `g_s` the gates of `ChannelSE` and `SpatialSE`, element by element:

    | aggregation  | output                  | channels |
    |--------------|-------------------------|----------|
    | `"max"`      | `max(U·g_c, U·g_s)`     | C        |
    | `"add"`      | `U·g_c + U·g_s`         | C        |
    | `"multiply"` | `U·g_c × U·g_s`         | C        |
    | `"concat"`   | `[U·g_c, U·g_s]`        | 2C       |

    Args:
        reduction_ratio: number from 1 to the number of channels, of the channel part. Defaults to 2.
        aggregation: `"max"`, `"add"`, `"multiply"` or `"concat"`. Defaults to `"max"`, which the TMI paper
            recommends; the MICCAI paper has `"add"`.
        use_bias: whether all projections have a bias. Defaults to `True`, as in the authors' layers; the papers
            count none.
        **kwargs: `data_format`, `use_identity_start` and the arguments of `keras.layers.Layer`;
            see `recalib_keras.layers.Recalibration`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`, with twice the channels for `"concat"`.

    Raises:
        ValueError: for an unknown `aggregation`; if `reduction_ratio` is below 1 or above the number of channels; for
            `use_identity_start` with `"multiply"`, which squares its input, or `"concat"`, which doubles it.

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

    def __init__(self, reduction_ratio=2, aggregation="max", use_bias=True, **kwargs):
        super().__init__(**kwargs)
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"`aggregation` must be one of {AGGREGATIONS}. Received: aggregation={aggregation!r}")
        if self.use_identity_start and aggregation not in ("max", "add"):
            raise ValueError(
                "`use_identity_start` needs aggregation 'max' or 'add': 'multiply' squares its input and 'concat' "
                f"doubles it, whatever the gates. Received: aggregation={aggregation!r}"
            )
        self.reduction_ratio = reduction_ratio
        self.aggregation = aggregation
        self.use_bias = use_bias

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.channel = self.branch(ChannelSE, self.reduction_ratio, name="channel")
        self.spatial = self.branch(SpatialSE, name="spatial")
        self.channel.build(input_shape)
        self.spatial.build(input_shape)

    def compress(self, inputs):
        return self.channel.compress(inputs), self.spatial.compress(inputs)

    def process(self, descriptor):
        channel, spatial = descriptor
        return self.channel.process(channel), self.spatial.process(spatial)

    def recalibrate(self, inputs, logits):
        channel, spatial = logits
        if self.aggregation == "add":  # one pass over the inputs; on identity start the gates 1 and 1 average to 1
            gates = self.channel.gate(channel) + self.spatial.gate(spatial)
            return inputs * ops.cast(gates / 2 if self.use_identity_start else gates, inputs.dtype)
        if self.aggregation == "concat":
            return self._concatenated(inputs, self.channel.gate(channel), self.spatial.gate(spatial))
        by_channel = self.channel.recalibrate(inputs, channel)
        by_space = self.spatial.recalibrate(inputs, spatial)
        return ops.maximum(by_channel, by_space) if self.aggregation == "max" else by_channel * by_space

    def _concatenated(self, inputs, by_channel, by_space):
        """Returns the inputs times the one gate and times the other, side by side.

        Along a new axis of size 2 before the channels, which is then merged with them: XLA makes one pass of this, and
        copies of a concatenation.
        """
        is_first = ops.reshape(
            ops.arange(2) == 0, [2 if axis == self.channel_axis else 1 for axis in range(len(inputs.shape) + 1)]
        )
        inputs, by_channel, by_space = (ops.expand_dims(x, self.channel_axis) for x in (inputs, by_channel, by_space))
        pair = inputs * ops.cast(ops.where(is_first, by_channel, by_space), inputs.dtype)
        shape = list(ops.shape(pair))
        return ops.reshape(pair, [*shape[: self.channel_axis], 2 * self.channels, *shape[self.channel_axis + 2 :]])

    def compute_output_shape(self, input_shape):
        if self.aggregation != "concat":
            return input_shape
        shape = list(input_shape)
        shape[-1 if self.data_format == "channels_last" else 1] *= 2
        return tuple(shape)

    def get_config(self):
        return {
            **super().get_config(),
            "reduction_ratio": self.reduction_ratio,
            "aggregation": self.aggregation,
            "use_bias": self.use_bias,
        }
