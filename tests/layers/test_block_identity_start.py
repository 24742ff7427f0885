"""Blocks that start as the identity: exactly so, and able to leave it."""

import keras
import numpy as np
import pytest
from blocks import every_identity_block, every_rank, feature_map, numpy, to_data_format
from gradients import layer_gradients


@every_identity_block
@every_rank
def test_starts_as_the_identity(block, spatial_rank):
    inputs = 100 * feature_map(spatial_rank)
    np.testing.assert_array_equal(numpy(block.layer(use_identity_start=True)(inputs)), inputs)


@every_identity_block
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_starts_as_the_identity_in_half_precision(block, policy):
    inputs = keras.ops.cast(feature_map(3), policy.removeprefix("mixed_"))
    outputs = block.layer(use_identity_start=True, dtype=policy)(inputs)
    np.testing.assert_array_equal(numpy(outputs), numpy(inputs))


@every_identity_block
def test_starts_as_the_identity_channels_first_and_without_bias(block):
    inputs = to_data_format(feature_map(2), "channels_first")
    layer = block.layer(use_identity_start=True, use_bias=False, data_format="channels_first")
    np.testing.assert_array_equal(numpy(layer(inputs)), inputs)


@every_identity_block
def test_one_gradient_step_leaves_the_identity(block):
    inputs = feature_map(3)
    layer = block.layer(use_identity_start=True)
    layer.build(inputs.shape)
    _, by_weights = layer_gradients(layer, inputs, np.random.default_rng(4).normal(size=inputs.shape).astype("float32"))
    assert all(np.isfinite(gradient).all() for gradient in by_weights)
    layer.set_weights(
        [numpy(weight) - 0.1 * gradient for weight, gradient in zip(layer.weights, by_weights, strict=True)]
    )
    assert np.abs(numpy(layer(inputs)) - inputs).max() > 1e-3


@every_identity_block
def test_identity_start_survives_the_config(block):
    layer = block.layer(use_identity_start=True)
    assert block.layer_class.from_config(layer.get_config()).use_identity_start
