"""The pipeline that every recalibration block follows: compress, process, recalibrate."""

import keras
from keras import ops

from recalib_keras.layers import acceleration


class Recalibration(keras.layers.Layer):
    """Base of all blocks that rescale a feature map by gates computed from it.

    `Û = recalibrate(U, process(compress(U)))`, the pipeline of Rickmann et al. A block fills in three methods:

    - `compress(inputs)`: what is kept of the feature map, a tensor or a tuple of tensors;
    - `process(descriptor)`: the logits of the gates, made from what was kept;
    - `recalibrate(inputs, logits)`: by default `inputs * gate(logits)`, with `gate` the sigmoid.

    As they stand here, `compress` and `process` hand on what they are given, so that every value of the input gates
    itself. Reductions and gates are computed in float32 at least, whatever the dtype policy: a bfloat16 sum would
    lose the mean of a large volume, and a bfloat16 sigmoid saturates early.

    A block made of element-wise work, reductions and products alone, without convolutions, may set the class attribute
    `is_fused = True`: TensorFlow then runs it in one piece, several times faster. What `compress` returns, which should
    then be small, is kept for the gradient, and all else is computed again.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        use_identity_start: whether the block starts as the identity, so that it can be put into a trained network
            without changing its output. The gate is then `2σ` and the kernel that makes its logits starts at zero,
            hence every gate is exactly 1 at first. Defaults to `False`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`, or `(batch, channels, *spatial)` for `"channels_first"`, with one
        spatial axis or more. Spatial sizes may be unknown, the number of channels may not.

    Output shape: that of the input.

    Raises:
        ValueError: for an input without spatial axes or with an unknown number of channels.

    Example: a block of one's own, which gates each channel by its largest value.

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

    def __init__(self, data_format=None, use_identity_start=False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f"`data_format` must be 'channels_last' or 'channels_first'. Received: data_format={data_format!r}"
            )
        self.use_identity_start = use_identity_start
        self._run_fused = acceleration.fused(self._excite, summarize=self.compress)

    def build(self, input_shape) -> None:
        rank = len(input_shape)
        if rank < 3:
            raise ValueError(
                f"`{type(self).__name__}` recalibrates over space: its input needs at least one spatial axis between "
                f"batch and channels, such as (batch, height, width, channels). Received: input_shape={input_shape}"
            )
        self.channel_axis = rank - 1 if self.data_format == "channels_last" else 1
        self.spatial_axes = tuple(axis for axis in range(1, rank) if axis != self.channel_axis)
        self.channels = input_shape[self.channel_axis]
        if self.channels is None:
            raise ValueError(
                f"`{type(self).__name__}` needs to know the number of channels (axis {self.channel_axis} for "
                f"data_format='{self.data_format}'); set it in the input's shape. Received: input_shape={input_shape}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={self.channel_axis: self.channels})

    def call(self, inputs):
        return self._run_fused(inputs) if self.is_fused else self._excite(inputs, self.compress(inputs))

    def _excite(self, inputs, descriptor):
        return self.recalibrate(inputs, self.process(descriptor))

    def compress(self, inputs):
        """Returns what the gates are computed from; here the feature map itself."""
        return inputs

    def process(self, descriptor):
        """Returns the logits of the gates, of a shape that broadcasts to that of the input."""
        return descriptor

    def recalibrate(self, inputs, logits):
        """Returns the inputs times their gates."""
        return inputs * ops.cast(self.gate(logits), inputs.dtype)

    def gate(self, logits):
        """Returns `σ(logits)`, in [0, 1], or `2σ(logits)` with `use_identity_start`; float32 or wider."""
        gate = ops.sigmoid(ops.cast(logits, self.wide_dtype))
        return 2 * gate if self.use_identity_start else gate

    def mean(self, inputs, axes):
        """Returns the mean over one axis or several, which are kept with size 1; float32 or wider."""
        mean = ops.cast(inputs, self.wide_dtype)
        # One axis at a time, the innermost first: faster than all at once, and the partial sums stay small.
        for axis in sorted((axes,) if isinstance(axes, int) else axes, reverse=True):
            mean = ops.mean(mean, axis=axis, keepdims=True)
        return mean

    @property
    def wide_dtype(self) -> str:
        """The type of reductions and gates: the layer's compute type, float32 at least."""
        return "float64" if self.compute_dtype == "float64" else "float32"

    @property
    def map_dtype(self):
        """The type of what is as large as the map: the compute type, or the wide one inside a fused block."""
        return self.wide_dtype if self.is_fused and acceleration.can_fuse() else self.compute_dtype

    def branch(self, block_class, *args, **kwargs):
        """Returns a block that is part of this one, and has a bias, starts and is laid out as this one does."""
        return block_class(
            *args,
            use_bias=self.use_bias,
            data_format=self.data_format,
            use_identity_start=self.use_identity_start,
            dtype=self.dtype_policy,
            **kwargs,
        )

    def pointwise(self, units, name, makes_logits=False, use_bias=True):
        """Returns a 1×1 convolution over the channels; one that `makes_logits` starts at zero on identity start."""
        return Pointwise(
            units,
            use_bias=use_bias,
            data_format=self.data_format,
            kernel_initializer="zeros" if makes_logits and self.use_identity_start else "glorot_uniform",
            dtype=self.dtype_policy,
            name=name,
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "use_identity_start": self.use_identity_start,
        }


class Pointwise(keras.layers.Layer):
    """A 1×1 convolution for any number of spatial axes, computed in the type of its input.

    Blocks run it on their descriptors in float32 and on whole feature maps in their compute type, with one kernel.
    A plain matrix product serves every rank and exports to every format.

    Args:
        units: integer, number of output channels.
        use_bias: boolean.
        data_format: `"channels_last"` or `"channels_first"`.
        kernel_initializer: a Keras initializer.
    """

    def __init__(self, units, use_bias, data_format, kernel_initializer, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.units = units
        self.use_bias = use_bias
        self.data_format = data_format
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape) -> None:
        self.channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        self.kernel = self.add_weight(
            shape=(self.channels, self.units), initializer=self.kernel_initializer, autocast=False, name="kernel"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", autocast=False, name="bias")

    def call(self, inputs):
        return self.add_bias(self.project(inputs))

    def project(self, inputs):
        """Returns the product with the kernel, without the bias."""
        kernel = ops.cast(self.kernel, inputs.dtype)
        shape = ops.shape(inputs)
        if self.data_format == "channels_last":
            product = ops.matmul(ops.reshape(inputs, (-1, self.channels)), kernel)
            return ops.reshape(product, (*shape[:-1], self.units))
        product = ops.matmul(ops.transpose(kernel), ops.reshape(inputs, (shape[0], self.channels, -1)))
        return ops.reshape(product, (shape[0], self.units, *shape[2:]))

    def add_bias(self, inputs):
        """Returns the inputs plus the bias, if there is one."""
        if self.bias is None:
            return inputs
        bias = ops.cast(self.bias, inputs.dtype)
        if self.data_format == "channels_first":
            bias = ops.reshape(bias, (self.units,) + (1,) * (len(inputs.shape) - 2))
        return inputs + bias

    def compute_output_shape(self, input_shape):
        if self.data_format == "channels_last":
            return (*input_shape[:-1], self.units)
        return (input_shape[0], self.units, *input_shape[2:])


def reduced_channels(channels, reduction_ratio, block):
    """Returns the hidden width `channels // reduction_ratio` of a block's bottleneck.

    Raises:
        ValueError: if the ratio lies outside 1 … channels.
    """
    if not 1 <= reduction_ratio <= channels:
        raise ValueError(
            f"`reduction_ratio` of `{block}` must lie between 1 and the number of channels, {channels}, so that at "
            f"least one hidden channel is left. Received: reduction_ratio={reduction_ratio}"
        )
    return int(channels // reduction_ratio)
