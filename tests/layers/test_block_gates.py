"""Blocks return the gates that their forward pass applies."""

import numpy as np
import pytest
from keras import ops

from recalib_keras import layers

SHAPE = (2, 6, 5, 4, 8)


def built(block, shape=SHAPE, seed=0):
    """A block with random weights, biases and all."""
    block.build(shape)
    rng = np.random.default_rng(seed)
    block.set_weights([rng.normal(0, 0.7, weight.shape) for weight in block.get_weights()])
    return block


def feature_map():
    return np.random.default_rng(1).normal(size=SHAPE).astype("float32")


def gates(block, inputs):
    return [ops.convert_to_numpy(gate) for gate in block.gates(inputs)]


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (layers.ChannelSE(2), (2, 1, 1, 1, 8)),
        (layers.SpatialSE(), (2, 6, 5, 4, 1)),
        (layers.ProjectExcite(2), SHAPE),
        (layers.ProjectExcite(2, use_identity_start=True), SHAPE),
        (layers.SegSE(4, expansion_factor=None), SHAPE),
    ],
)
def test_the_input_times_the_gates_is_the_output(block, shape):
    block, inputs = built(block), feature_map()
    (gate,) = gates(block, inputs)
    assert gate.shape == shape
    assert np.ptp(gate) > 0.05
    np.testing.assert_allclose(inputs * gate, ops.convert_to_numpy(block(inputs)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("aggregation", "join"),
    [
        ("max", np.maximum),
        ("add", np.add),
        ("multiply", np.multiply),
        ("concat", lambda first, second: np.concatenate([first, second], axis=-1)),
    ],
)
def test_scse_has_gates_of_channels_and_of_positions(aggregation, join):
    block, inputs = built(layers.ChannelSpatialSE(2, aggregation)), feature_map()
    channel, spatial = gates(block, inputs)
    assert channel.shape == (2, 1, 1, 1, 8) and spatial.shape == (2, 6, 5, 4, 1)
    expected = ops.convert_to_numpy(block(inputs))
    np.testing.assert_allclose(join(inputs * channel, inputs * spatial), expected, rtol=1e-4, atol=1e-5)


def test_cbam_gates_positions_after_channels():
    block, inputs = built(layers.CBAM(2, kernel_size=3)), feature_map()
    channel, spatial = gates(block, inputs)
    np.testing.assert_allclose(inputs * channel * spatial, ops.convert_to_numpy(block(inputs)), rtol=1e-4, atol=1e-5)


def test_segse_gates_the_expanded_map():
    block, inputs = built(layers.SegSE(4, expansion_factor=2)), feature_map()
    (gate,) = gates(block, inputs)
    assert gate.shape == (*SHAPE[:-1], 16)
    expanded = ops.convert_to_numpy(block.recombine(inputs))
    found = ops.convert_to_numpy(block.contract(expanded * gate))
    np.testing.assert_allclose(found, ops.convert_to_numpy(block(inputs)), rtol=1e-4, atol=1e-4)


def test_a_block_of_ones_own_needs_nothing_more():
    class Plain(layers.Recalibration):
        """Gates every value by itself."""

    inputs = feature_map()
    np.testing.assert_allclose(gates(built(Plain()), inputs)[0], 1 / (1 + np.exp(-inputs)), rtol=1e-5)


def test_blocks_with_several_gates_are_refused_until_they_define_them():
    class Double(layers.Recalibration):
        """Makes two gates in a way of its own."""

        def process(self, descriptor):
            return descriptor, -descriptor

    message = r"one tensor of logits from `Double\.process`, got a tuple; define `Double\.gates\(inputs\)`"
    with pytest.raises(TypeError, match=message):
        built(Double()).gates(feature_map())

    class Defined(Double):
        """Defines them."""

        def gates(self, inputs):
            return [self.gate(logits) for logits in self.process(inputs)]

    first, second = gates(built(Defined()), feature_map())
    np.testing.assert_allclose(first + second, 1, rtol=1e-5)
