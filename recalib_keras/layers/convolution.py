"""A convolution whose number of spatial axes comes from its input."""

import keras
from keras import ops


class Convolution(keras.layers.Layer):
    """A padded convolution of stride 1 for any spatial rank that the backend convolves (1 to 3), both data formats.

    Blocks use it; networks use Keras's own layers. Convolutions run channels-last, since TensorFlow on CPU knows no
    other: `"channels_first"` inputs are transposed on the way in and out.

    Args:
        filters: integer, number of output channels.
        kernel_size: integer, the same along every spatial axis.
        dilation_rate: integer.
        use_bias: boolean.
        data_format: `"channels_last"` or `"channels_first"`.
        kernel_initializer: a Keras initializer.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        data_format,
        dilation_rate=1,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.data_format = data_format
        self.dilation_rate = dilation_rate
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape) -> None:
        spatial_rank = len(input_shape) - 2
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        self.kernel = self.add_weight(
            shape=(self.kernel_size,) * spatial_rank + (channels, self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias") if self.use_bias else None

    def call(self, inputs):
        is_channels_first = self.data_format == "channels_first"
        if is_channels_first:
            inputs = ops.moveaxis(inputs, 1, -1)
        outputs = ops.conv(
            inputs, self.kernel, padding="same", data_format="channels_last", dilation_rate=self.dilation_rate
        )
        if self.bias is not None:
            outputs = outputs + self.bias
        return ops.moveaxis(outputs, -1, 1) if is_channels_first else outputs

    def compute_output_shape(self, input_shape):
        if self.data_format == "channels_last":
            return (*input_shape[:-1], self.filters)
        return (input_shape[0], self.filters, *input_shape[2:])
