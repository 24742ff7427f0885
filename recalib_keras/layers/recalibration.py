"""The pipeline that every recalibration block follows: compress, process, recalibrate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from recalib_keras.layers import acceleration
from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.convolution import Pointwise


class Recalibration(keras.layers.Layer):
    """Base of all blocks that rescale a feature map by gates computed from it.

    `Û = recalibrate(U, process(compress(U)))`, the pipeline of Rickmann et al. A block defines three methods:

    - `compress(inputs)`: what the gates are computed from, a tensor or a tuple of tensors;
    - `process(descriptor)`: the logits of the gates, computed from that;
    - `recalibrate(inputs, logits)`: by default `inputs * gate(logits)`, with `gate` the sigmoid.

    A block that has several gates, or applies them in another way, also defines `gates(inputs)`.

    In this class, `compress` and `process` return their argument, so that every value of the input gates itself.
    Reductions and gates are computed in float32 at least, whatever the dtype policy: a bfloat16 sum would lose the mean
    of a large volume, and a bfloat16 sigmoid saturates early.

    A block that consists of element-wise work, reductions and products, without convolutions, may set the class
    attribute `is_fused = True`: TensorFlow then runs it as one operation, several times faster. What `compress` returns
    is kept for the gradient and should be small; all else is computed again.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        use_identity_start: Whether the block starts as the identity, so that it can be added to a trained network
            without changing its output. The gate is then `2σ`, and the kernel that computes its logits starts at zero,
            so that every gate is exactly 1 at first.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`, or `(batch, channels, *spatial)` for `"channels_first"`, with at least
        one spatial axis. Spatial sizes may be unknown, the number of channels may not.

    Output shape: The input's.

    Raises:
        ValueError: For an unknown `data_format`, an input without spatial axes, or an unknown number of channels.

    Example: A new block, which gates each channel by its largest value.

    >>> import keras
    >>> from recalib_keras import layers
    >>> class PeakGate(layers.Recalibration):
    ...     def build(self, input_shape):
    ...         super().build(input_shape)
    ...         self.expand = self.pointwise(self.channels, name="expand", makes_logits=True)
    ...         self.expand.build(input_shape)
    ...
    ...     def compress(self, inputs):
    ...         return keras.ops.max(inputs, axis=self.spatial_axes, keepdims=True)
    ...
    ...     def process(self, descriptor):
    ...         return self.expand(descriptor)
    >>> PeakGate()(keras.ops.ones((2, 8, 8, 8, 4))).shape == (2, 8, 8, 8, 4)
    True

    Reference:
        Rickmann et al., "Recalibrating 3D ConvNets with Project & Excite", IEEE TMI 2020.
    """

    is_fused = False

    def __init__(self, data_format: str | None = None, use_identity_start: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"expected `data_format` to be 'channels_last' or 'channels_first', got {data_format!r}")
        self.use_identity_start = use_identity_start
        self._run_fused = acceleration.fused(self._excite, summarize=self.compress)

    def build(self, input_shape: Sequence[int | None]) -> None:
        rank = len(input_shape)
        if rank < 3:
            raise ValueError(
                f"expected `{type(self).__name__}`'s input to have at least one spatial axis between batch and "
                f"channels, such as (batch, height, width, channels), got the shape {tuple(input_shape)}"
            )
        self.channel_axis = rank - 1 if self.data_format == "channels_last" else 1
        self.spatial_axes = tuple(axis for axis in range(1, rank) if axis != self.channel_axis)
        self.channels = input_shape[self.channel_axis]
        if self.channels is None:
            raise ValueError(
                f"expected `{type(self).__name__}`'s input to have a known number of channels (axis "
                f"{self.channel_axis} for data_format='{self.data_format}'), got the shape {tuple(input_shape)}; set "
                "it in the input's shape"
            )
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={self.channel_axis: self.channels})

    def call(self, inputs: Tensor) -> Tensor:
        return self._run_fused(inputs) if self.is_fused else self._excite(inputs, self.compress(inputs))

    def _excite(self, inputs, descriptor):
        return self.recalibrate(inputs, self.process(descriptor))

    def compress(self, inputs: Tensor) -> Any:
        """Returns what the gates are computed from; here the feature map itself."""
        return inputs

    def process(self, descriptor: Any) -> Any:
        """Returns the logits of the gates, of a shape that broadcasts to the input's."""
        return descriptor

    def recalibrate(self, inputs: Tensor, logits: Any) -> Tensor:
        """Returns the inputs times their gates."""
        return inputs * ops.cast(self.gate(logits), inputs.dtype)

    def gate(self, logits: Tensor) -> Tensor:
        """Returns `σ(logits)`, in [0, 1], or `2σ(logits)` with `use_identity_start`; float32 or wider."""
        gate = ops.sigmoid(ops.cast(logits, self.wide_dtype))
        return 2 * gate if self.use_identity_start else gate

    def gates(self, inputs: Tensor) -> list[Tensor]:
        """Returns the gates that the block applies to a feature map, for a look inside.

        Args:
            inputs: The feature map, of the shape that the block was built for.

        Returns:
            Tensors that broadcast to the feature map: one for most blocks.

        Raises:
            TypeError: If `process` returns more than one tensor and the class does not define `gates`.
        """
        logits = self.process(self.compress(inputs))
        if isinstance(logits, (tuple, list, dict)):
            name = type(self).__name__
            raise TypeError(
                f"expected one tensor of logits from `{name}.process`, got a {type(logits).__name__}; define "
                f"`{name}.gates(inputs)`, which returns the list of its gates"
            )
        return [self.gate(logits)]

    def mean(self, inputs: Tensor, axes: int | tuple[int, ...]) -> Tensor:
        """Returns the mean over one or more axes, kept with size 1; float32 or wider."""
        mean = ops.cast(inputs, self.wide_dtype)
        # One axis at a time, the innermost first: faster than all at once, and the partial sums stay small.
        for axis in sorted((axes,) if isinstance(axes, int) else axes, reverse=True):
            mean = ops.mean(mean, axis=axis, keepdims=True)
        return mean

    @property
    def wide_dtype(self) -> str:
        """The type of reductions and gates: the layer's compute type, but at least float32."""
        return "float64" if self.compute_dtype == "float64" else "float32"

    @property
    def map_dtype(self) -> str:
        """The type of tensors as large as the feature map: the compute type, or the wide one inside a fused block."""
        return self.wide_dtype if self.is_fused and acceleration.can_fuse() else self.compute_dtype

    def branch(self, block_class: Callable[..., Recalibration], *args: Any, **kwargs: Any) -> Recalibration:
        """Returns a block that is part of this one, with the same bias, start, data format and dtype policy."""
        return block_class(
            *args,
            use_bias=self.use_bias,
            data_format=self.data_format,
            use_identity_start=self.use_identity_start,
            trainable=self.trainable,  # a block that was saved frozen makes its parts anew
            dtype=self.dtype_policy,
            **kwargs,
        )

    def pointwise(self, units: int, name: str, makes_logits: bool = False, use_bias: bool = True) -> Pointwise:
        """Returns a 1×1 convolution over the channels.

        Args:
            units: Number of output channels.
            name: Name of the sub-layer.
            makes_logits: Whether its output is the logits; with `use_identity_start` its kernel then starts at zero.
            use_bias: Whether it has a bias.
        """
        return Pointwise(
            units,
            use_bias=use_bias,
            data_format=self.data_format,
            kernel_initializer="zeros" if makes_logits and self.use_identity_start else "glorot_uniform",
            trainable=self.trainable,
            dtype=self.dtype_policy,
            name=name,
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Sequence[int | None]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "use_identity_start": self.use_identity_start,
        }


class BottleneckRecalibration(Recalibration):
    """Base of the blocks that compute their logits by `W₁ δ(W₂ z)`, with `δ` the ReLU.

    `W₂: C → C/r` is the sub-layer `reduce`, `W₁: C/r → C` the sub-layer `expand`.

    Args:
        reduction_ratio: The `r` above, from 1 to the number of channels.
        use_bias: Whether both projections have a bias.
        **kwargs: See `recalib_keras.layers.Recalibration`.

    Raises:
        ValueError: If `reduction_ratio` is below 1 or above the number of channels.
    """

    public_name: str | None = None  # how errors name a block that is part of another one

    def __init__(self, reduction_ratio: float, use_bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.reduction_ratio = reduction_ratio
        self.use_bias = use_bias

    def build(self, input_shape: Sequence[int | None]) -> None:
        super().build(input_shape)
        hidden = reduced_channels(self.channels, self.reduction_ratio, self.public_name or type(self).__name__)
        self.reduce = self.pointwise(hidden, name="reduce", use_bias=self.use_bias)
        self.expand = self.pointwise(self.channels, name="expand", use_bias=self.use_bias, makes_logits=True)
        self.reduce.build(input_shape)
        self.expand.build(self.reduce.compute_output_shape(input_shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reduction_ratio": self.reduction_ratio, "use_bias": self.use_bias}


def reduced_channels(channels: int, reduction_ratio: float, block: str) -> int:
    """Returns the hidden width `channels // reduction_ratio` of a block's bottleneck.

    Args:
        channels: Number of channels that the bottleneck reduces.
        reduction_ratio: Number from 1 to `channels`.
        block: Name of the block, for the error.

    Raises:
        ValueError: If the ratio lies outside 1 … channels.
    """
    if not 1 <= reduction_ratio <= channels:
        raise ValueError(
            f"expected `reduction_ratio` of `{block}` to lie between 1 and the number of channels, {channels}, "
            f"got {reduction_ratio}; at least one hidden channel must be left"
        )
    return int(channels // reduction_ratio)
