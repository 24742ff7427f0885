"""The convolutions inside blocks; the number of spatial axes comes from the input."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from recalib_keras.core.backend import runs_on_tensorflow_cpu
from recalib_keras.core.processor import has_bfloat16
from recalib_keras.layers.acceleration import Tensor, is_traced_for_elsewhere


class Pointwise(keras.layers.Layer):
    """A 1×1 convolution for any number of spatial axes, computed in the type of its input.

    Blocks apply it to their descriptors in float32 and to whole feature maps in their compute type, with the same
    kernel. It is a plain matrix product, which serves every rank and exports to every format.

    Args:
        units: Number of output channels.
        use_bias: Whether to add a bias.
        data_format: `"channels_last"` or `"channels_first"`.
        kernel_initializer: A Keras initializer.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        units: int,
        use_bias: bool,
        data_format: str,
        kernel_initializer: str | Callable[..., Tensor],
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.units = units
        self.use_bias = use_bias
        self.data_format = data_format
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        self.kernel = self.add_weight(
            shape=(self.channels, self.units), initializer=self.kernel_initializer, autocast=False, name="kernel"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", autocast=False, name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        return self.add_bias(self.project(inputs))

    def project(self, inputs: Tensor) -> Tensor:
        """Returns the product with the kernel, without the bias."""
        kernel = ops.cast(self.kernel, inputs.dtype)
        shape = ops.shape(inputs)
        if self.data_format == "channels_last":
            product = ops.matmul(ops.reshape(inputs, (-1, self.channels)), kernel)
            return ops.reshape(product, (*shape[:-1], self.units))
        product = ops.matmul(ops.transpose(kernel), ops.reshape(inputs, (shape[0], self.channels, -1)))
        return ops.reshape(product, (shape[0], self.units, *shape[2:]))

    def add_bias(self, inputs: Tensor) -> Tensor:
        """Returns the inputs plus the bias, if there is one."""
        if self.bias is None:
            return inputs
        bias = ops.cast(self.bias, inputs.dtype)
        if self.data_format == "channels_first":
            bias = ops.reshape(bias, (self.units,) + (1,) * (len(inputs.shape) - 2))
        return inputs + bias

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return with_channels(input_shape, self.units, self.data_format)


class Convolution(keras.layers.Layer):
    """A padded convolution of stride 1, for 1 to 3 spatial axes and both data formats.

    Blocks use it; networks use Keras's own layers. It computes channels-last, the only format that TensorFlow supports
    on CPU: `"channels_first"` inputs are transposed before and after.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the kernel, the same along every spatial axis.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Distance between the values that the kernel reads, in voxels.
        use_bias: Whether to add a bias.
        kernel_initializer: A Keras initializer.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        data_format: str,
        dilation_rate: int = 1,
        use_bias: bool = True,
        kernel_initializer: str | Callable[..., Tensor] = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.data_format = data_format
        self.dilation_rate = dilation_rate
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape: Sequence[int | None]) -> None:
        spatial_rank = len(input_shape) - 2
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        self.kernel = self.add_weight(
            shape=(self.kernel_size,) * spatial_rank + (channels, self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias") if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        is_channels_first = self.data_format == "channels_first"
        if is_channels_first:
            inputs = ops.moveaxis(inputs, 1, -1)
        outputs = self._convolve(inputs)
        if self.bias is not None:
            outputs = outputs + self.bias
        return ops.moveaxis(outputs, -1, 1) if is_channels_first else outputs

    def _convolve(self, inputs):
        convolve = functools.partial(
            ops.conv, padding="same", data_format="channels_last", dilation_rate=self.dilation_rate
        )
        if not _loses_digits(keras.backend.standardize_dtype(inputs.dtype)) or is_traced_for_elsewhere():
            return convolve(inputs, self.kernel)
        return ops.cast(convolve(ops.cast(inputs, "float32"), ops.cast(self.kernel, "float32")), inputs.dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return with_channels(input_shape, self.filters, self.data_format)


def with_channels(shape: Sequence[int | None], channels: int, data_format: str) -> tuple[int | None, ...]:
    """Returns a shape with another number of channels."""
    if data_format == "channels_last":
        return (*shape[:-1], channels)
    return (shape[0], channels, *shape[2:])


@functools.cache
def _loses_digits(dtype):
    """Returns whether convolutions round every partial sum to `dtype`, as TensorFlow's own loops on a CPU do.

    On a processor that computes in bfloat16 it is oneDNN that convolves, which sums in float32.
    """
    is_half = dtype == "float16" or (dtype == "bfloat16" and not has_bfloat16())
    return is_half and runs_on_tensorflow_cpu()
