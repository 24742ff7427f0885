"""Every block equals its formula, in its values and in its gradients."""

import itertools

import keras
import numpy as np
import pytest
from blocks import (
    BLOCKS,
    every_block,
    every_identity_block,
    every_rank,
    feature_map,
    numpy,
    path_below,
    to_channels_last,
    to_data_format,
    weights_of,
)
from gradients import finite_differences, layer_gradients

# Keras computes in float64 throughout on TensorFlow alone: elsewhere its means are float32 at most.
GRADIENT_DTYPE, GRADIENT_TOLERANCE = {
    "tensorflow": ("float64", {"rtol": 1e-5, "atol": 1e-7}),
    "jax": ("float32", {"rtol": 1e-4, "atol": 1e-4}),
    "torch": ("float32", {"rtol": 1e-4, "atol": 1e-4}),
}[keras.backend.backend()]

SETTINGS = [
    (1, "channels_last", True),
    (1, "channels_first", False),
    (2, "channels_last", False),
    (2, "channels_first", True),
    *itertools.product([3], ["channels_last", "channels_first"], [True, False]),
]
# As in test_block_conformance.py, the aggregations of scSE other than "max" take one rank each.
GRADIENTS = [
    (name, rank, data_format)
    for rank, data_format in [(1, "channels_last"), (2, "channels_first"), (3, "channels_last")]
    for name in BLOCKS
    if {"scse_add": 1, "scse_multiply": 2, "scse_concat": 3}.get(name, rank) == rank
]


def outputs_of(layer, inputs, data_format):
    """Runs a layer of any data format on a channels-last array."""
    return to_channels_last(numpy(layer(to_data_format(inputs, data_format))), data_format)


@every_block
@pytest.mark.parametrize(("spatial_rank", "data_format", "use_bias"), SETTINGS)
def test_block_equals_formula(block, spatial_rank, data_format, use_bias):
    inputs = feature_map(spatial_rank)
    layer = block.randomized(to_data_format(inputs, data_format).shape, use_bias=use_bias, data_format=data_format)
    weights = weights_of(layer)
    assert any(path.endswith("bias") for path in weights) == use_bias
    expected = block.formula(inputs.astype("float64"), weights)
    np.testing.assert_allclose(outputs_of(layer, inputs, data_format), expected, rtol=1e-5, atol=1e-5)


@every_identity_block
@every_rank
def test_block_that_started_as_identity_equals_formula_with_doubled_gates(block, spatial_rank):
    inputs = feature_map(spatial_rank)
    layer = block.randomized(inputs.shape, use_identity_start=True)
    expected = block.formula(inputs.astype("float64"), weights_of(layer), peak=2)
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "spatial_rank", "data_format"), GRADIENTS)
def test_gradients_equal_finite_differences_of_formula(name, spatial_rank, data_format):
    block = BLOCKS[name]
    inputs = feature_map(spatial_rank, channels=4, dtype="float64")[:, :3]
    shape = to_data_format(inputs, data_format).shape
    layer = block.randomized(shape, data_format=data_format, dtype=GRADIENT_DTYPE)
    weights = weights_of(layer)
    cotangent = np.random.default_rng(1).normal(size=(*inputs.shape[:-1], inputs.shape[-1] * block.widening))

    arrays = (to_data_format(array, data_format).astype(GRADIENT_DTYPE) for array in (inputs, cotangent))
    by_inputs, by_weights = layer_gradients(layer, *arrays)

    expected = finite_differences(lambda u: np.sum(block.formula(u, weights) * cotangent), inputs)
    np.testing.assert_allclose(to_channels_last(by_inputs, data_format), expected, **GRADIENT_TOLERANCE)
    for variable, gradient in zip(layer.trainable_variables, by_weights, strict=True):
        path = path_below(variable)
        expected = finite_differences(
            lambda value, path=path: np.sum(block.formula(inputs, {**weights, path: value}) * cotangent), weights[path]
        )
        np.testing.assert_allclose(gradient, expected, **GRADIENT_TOLERANCE, err_msg=path)
