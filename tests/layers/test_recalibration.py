"""What all blocks share: the base class and its errors."""

import keras
import numpy as np
import pytest
from blocks import every_block, every_data_format, feature_map, numpy, to_data_format

from recalib_keras import layers


@every_block
def test_refuses_unknown_data_format(block):
    with pytest.raises(ValueError, match=r"expected `data_format` to be 'channels_last' or .*, got 'channels_middle'"):
        block.layer(data_format="channels_middle")


@every_block
def test_refuses_input_without_spatial_axes(block):
    with pytest.raises(ValueError, match=r"at least one spatial axis .* got the shape \(2, 8\)"):
        block.layer().build((2, 8))


@every_block
@every_data_format
def test_refuses_unknown_number_of_channels(block, data_format):
    shape = to_data_format(np.empty((4, 4, 4, 1)), data_format).shape
    shape = tuple(None if size == 1 else size for size in shape)
    with pytest.raises(ValueError, match=rf"a known number of channels .*data_format='{data_format}'"):
        block.layer(data_format=data_format).build(shape)


def test_refuses_another_number_of_channels_than_it_was_built_for():
    layer = layers.SpatialSE()
    layer.build((None, None, None, 8))
    with pytest.raises(ValueError, match=r"expected axis -?[13] of input shape to have value 8"):
        layer(np.ones((1, 4, 4, 6), "float32"))


def test_data_format_defaults_to_the_global_one(monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    layer = layers.ChannelSE()
    layer.build((None, 8, 4, 4))
    assert (layer.data_format, layer.channel_axis, layer.spatial_axes) == ("channels_first", 1, (2, 3))


@every_data_format
def test_base_lets_every_value_gate_itself(data_format):
    inputs = to_data_format(feature_map(2), data_format)
    outputs = numpy(layers.Recalibration(data_format=data_format)(inputs))
    np.testing.assert_allclose(outputs, inputs / (1 + np.exp(-inputs)), rtol=1e-6)


@every_data_format
def test_block_of_ones_own(data_format):
    """A block that gates each channel by its largest value, as in the class's example."""

    class PeakGate(layers.Recalibration):
        def build(self, input_shape):
            super().build(input_shape)
            self.expand = self.pointwise(self.channels, name="expand", makes_logits=True)
            self.expand.build(input_shape)

        def compress(self, inputs):
            return keras.ops.max(inputs, axis=self.spatial_axes, keepdims=True)

        def process(self, descriptor):
            return self.expand(descriptor)

    channels_last = feature_map(3)
    inputs = to_data_format(channels_last, data_format)
    np.testing.assert_array_equal(numpy(PeakGate(data_format=data_format, use_identity_start=True)(inputs)), inputs)

    layer = PeakGate(data_format=data_format)
    layer.build(inputs.shape)
    layer.set_weights([np.eye(8), np.zeros(8)])
    peaks = channels_last.max(axis=(1, 2, 3), keepdims=True)
    expected = to_data_format(channels_last / (1 + np.exp(-peaks)), data_format)
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-5)
