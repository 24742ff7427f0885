"""The layer equals Keras's group normalization with a group for each channel."""

import keras
import numpy as np
import pytest
from blocks import SIZES, numpy
from conformance import check_conformance
from gradients import layer_gradients

from recalib_keras import layers

RESOLUTION = {"float32": 1e-5, "mixed_bfloat16": 2.0**-6, "mixed_float16": 2.0**-8}
every_rank = pytest.mark.parametrize("rank", [3, 4, 5])


def image(rank):
    """Returns a random tensor of `rank` axes whose examples and channels have different means and widths."""
    values = np.random.default_rng(0).normal(size=(3, *SIZES[: rank - 2], 6))
    means = np.random.default_rng(1).normal(size=(3, *[1] * (rank - 2), 6))
    return (values * np.linspace(0.5, 2, 6) + means).astype("float32")


def built(layer, shape):
    """Returns the layer with random weights, the same for all layers."""
    rng = np.random.default_rng(2)
    layer.build(shape)
    layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return layer


@every_rank
def test_gives_each_channel_of_each_example_mean_0_and_variance_1(rank):
    inputs = image(rank)
    outputs = numpy(layers.InstanceNormalization(epsilon=1e-7)(inputs))
    axes = tuple(range(1, rank - 1))
    np.testing.assert_allclose(outputs.mean(axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.var(axis=axes), 1, atol=1e-4)


def test_by_hand():
    layer = built(layers.InstanceNormalization(epsilon=0.75), (1, 2, 1))
    layer.set_weights([np.array([2.0]), np.array([-0.5])])
    # Mean 3, variance 1 / 4: ±0.5 / √(0.25 + 0.75) = ±0.5, times 2, less 0.5.
    np.testing.assert_allclose(numpy(layer(np.array([[[2.5], [3.5]]], "float32"))), [[[-1.5], [0.5]]], atol=1e-6)


def check_same(pair, inputs, resolution):
    """Checks that outputs and gradients are the same."""
    cotangent = np.random.default_rng(3).normal(size=inputs.shape).astype("float32")
    seen = []
    for layer in pair:
        by_inputs, by_weights = layer_gradients(layer, inputs, cotangent)
        seen.append([numpy(keras.ops.cast(layer(inputs), "float32")), by_inputs, *by_weights])
    assert len(seen[0]) == len(seen[1])
    for ours, theirs in zip(*seen):
        np.testing.assert_allclose(ours, theirs, rtol=resolution, atol=resolution * max(1, np.abs(theirs).max()))


@every_rank
@pytest.mark.parametrize("policy", RESOLUTION)
def test_equals_keras_in_values_and_gradients(rank, policy):
    inputs = image(rank)
    ours = built(layers.InstanceNormalization(dtype=policy), inputs.shape)
    check_same((ours, built(keras.layers.GroupNormalization(-1), inputs.shape)), inputs, RESOLUTION[policy])


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"epsilon": 0.1}, {"axis": 1}], ids=str)
def test_options_equal_keras(options):
    inputs = image(5)
    pair = layers.InstanceNormalization(**options), keras.layers.GroupNormalization(-1, **{"epsilon": 1e-3, **options})
    check_same([built(layer, inputs.shape) for layer in pair], inputs, 1e-5)


@every_rank
def test_unknown_sizes(rank):
    inputs = image(rank)
    layer = built(layers.InstanceNormalization(), inputs.shape)
    tensor = keras.Input((None,) * (rank - 2) + (6,))
    model = keras.Model(tensor, layer(tensor))
    for part in (inputs, inputs[:1]):
        np.testing.assert_allclose(model.predict_on_batch(part), numpy(layer(part)), rtol=1e-5, atol=1e-5)


def test_takes_the_weights_of_keras_layer():
    inputs = image(5)
    theirs = built(keras.layers.GroupNormalization(-1), inputs.shape)
    ours = built(layers.InstanceNormalization(), inputs.shape)
    ours.set_weights(theirs.get_weights())
    assert [weight.name for weight in ours.weights] == [weight.name for weight in theirs.weights]
    np.testing.assert_allclose(numpy(ours(inputs)), numpy(theirs(inputs)), atol=1e-5)


def test_an_image_of_one_value_becomes_the_offset():
    layer = built(layers.InstanceNormalization(), (2, 4, 4, 3))
    outputs = numpy(layer(np.full((2, 4, 4, 3), 7.0, "float32")))
    np.testing.assert_allclose(outputs, np.broadcast_to(numpy(layer.beta), outputs.shape), atol=1e-4)


@every_rank
def test_keras_conformance(rank):
    check_conformance(
        layers.InstanceNormalization,
        {"epsilon": 1e-5},
        input_shape=(2, *SIZES[: rank - 2], 4),
        expected_output_shape=(2, *SIZES[: rank - 2], 4),
        expected_num_trainable_weights=2,
        expected_num_non_trainable_weights=0,
        supports_masking=True,
    )
