"""Batch and instance normalization equal Keras's own layers in everything that can be seen from outside."""

import io
import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
from blocks import SIZES, numpy
from conformance import check_conformance
from gradients import layer_gradients

from recalib_keras import layers

# Of batch normalization; instance normalization computes differently from Keras.
RESOLUTION = {"float32": 1e-5, "mixed_bfloat16": 2.0**-7, "mixed_float16": 2.0**-9}
INSTANCE_RESOLUTION = {"float32": 1e-5, "mixed_bfloat16": 2.0**-6, "mixed_float16": 2.0**-8}
every_rank = pytest.mark.parametrize("rank", [pytest.param(3, marks=pytest.mark.slow), 4, 5])
every_mode = pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])


def image(rank):
    """Returns a random tensor of `rank` axes whose channels have different means and widths."""
    values = np.random.default_rng(0).normal(size=(3, *SIZES[: rank - 2], 6))
    return (values * np.linspace(0.5, 2, 6) + np.linspace(-3, 3, 6)).astype("float32")


def skip_repeated(is_repeated):
    """Skips a case where Keras's own layer computes: there few cases show that it is called as it should be."""
    if is_repeated and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras's own layer computes on this backend, as other cases show")


def images(rank):
    """Returns a random tensor of `rank` axes whose examples and channels have different means and widths."""
    values = np.random.default_rng(0).normal(size=(3, *SIZES[: rank - 2], 6))
    means = np.random.default_rng(1).normal(size=(3, *[1] * (rank - 2), 6))
    return (values * np.linspace(0.5, 2, 6) + means).astype("float32")


def built_pair(shape, **kwargs):
    """Returns our layer and Keras's, with the same random weights."""
    pair = layers.FoldedBatchNormalization(**kwargs), keras.layers.BatchNormalization(**kwargs)
    rng = np.random.default_rng(1)
    for layer in pair:
        layer.build(shape)
    weights = [rng.uniform(0.5, 1.5, weight.shape) for weight in pair[0].weights]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def check_same(pair, inputs, resolution, **call_arguments):
    """Checks that outputs, gradients, and all weights after the call are the same."""
    cotangent = np.random.default_rng(2).normal(size=inputs.shape).astype("float32")
    seen = []
    for layer in pair:
        outputs = layer(inputs, **call_arguments)
        assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
        state = [numpy(weight) for weight in layer.weights]  # after one call; the gradients' makes a second
        by_inputs, by_weights = layer_gradients(layer, inputs, cotangent, **call_arguments)
        seen.append([numpy(keras.ops.cast(outputs, "float32")), *state, by_inputs, *by_weights])
    assert len(seen[0]) == len(seen[1])
    for ours, theirs in zip(*seen):
        np.testing.assert_allclose(ours, theirs, rtol=resolution, atol=resolution * max(1, np.abs(theirs).max()))


@every_rank
@every_mode
@pytest.mark.parametrize("policy", RESOLUTION)
def test_batch_normalization_equals_keras(rank, training, policy):
    skip_repeated(rank != 5 or policy != "float32")
    inputs = image(rank)
    check_same(built_pair(inputs.shape, dtype=policy), inputs, RESOLUTION[policy], training=training)


@every_mode
@pytest.mark.parametrize(
    "options",
    [
        {"scale": False},
        {"center": False},
        {"scale": False, "center": False},
        {"momentum": 0.7, "epsilon": 0.1},
        {"trainable": False},
        {"axis": 4},
        {"axis": 1},
        {"renorm": True},
    ],
    ids=str,
)
def test_batch_options_equal_keras(options, training):
    skip_repeated(not training)
    inputs = image(5)
    check_same(built_pair(inputs.shape, **options), inputs, 1e-5, training=training)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_in_half_precision_equal_keras(dtype):
    inputs = image(5)
    ours, theirs = built_pair(inputs.shape, dtype=dtype)
    outputs = (numpy(keras.ops.cast(layer(inputs), "float32")) for layer in (ours, theirs))
    np.testing.assert_allclose(*outputs, rtol=2.0**-6, atol=2.0**-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras computes in float64 on TensorFlow alone")
def test_float64_keeps_its_digits():
    inputs = image(5).astype("float64")
    ours, theirs = built_pair(inputs.shape, dtype="float64")
    np.testing.assert_array_equal(numpy(ours(inputs, training=True)), numpy(theirs(inputs, training=True)))


def test_batch_training_normalizes_each_channel():
    """Hand-made: mean 0 and variance 1 of what comes out; the moving statistics move one percent of the way."""
    inputs = image(5)
    layer = layers.FoldedBatchNormalization(epsilon=1e-6)
    outputs = numpy(layer(inputs, training=True))
    axes = (0, 1, 2, 3)
    np.testing.assert_allclose(outputs.mean(axis=axes), np.zeros(6), atol=1e-5)
    np.testing.assert_allclose(outputs.var(axis=axes), np.ones(6), rtol=1e-4)
    np.testing.assert_allclose(numpy(layer.moving_mean), 0.01 * inputs.mean(axis=axes), rtol=1e-4)
    np.testing.assert_allclose(numpy(layer.moving_variance), 0.99 + 0.01 * inputs.var(axis=axes), rtol=1e-4)


def test_masked_batch_equals_keras():
    inputs, mask = image(3), np.arange(5) < np.array([[2], [5], [3]])
    ours, theirs = built_pair(inputs.shape)
    outputs = (numpy(layer(inputs, training=True, mask=mask)) for layer in (ours, theirs))
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)


@every_rank
def test_batch_normalization_takes_unknown_sizes(rank):
    inputs = image(rank)
    ours, theirs = built_pair(inputs.shape)
    tensor = keras.Input((None,) * (rank - 2) + (6,))
    model = keras.Model(tensor, ours(tensor))
    np.testing.assert_allclose(model.predict_on_batch(inputs), numpy(theirs(inputs)), rtol=1e-5, atol=1e-5)


def test_batch_normalization_loads_what_keras_saved(tmp_path):
    """Same weights under the same names: what Keras's layer saved, ours loads."""
    inputs = image(5)
    ours, theirs = (keras.Sequential([keras.Input(inputs.shape[1:]), layer]) for layer in built_pair(inputs.shape))
    theirs.layers[0].set_weights([2 * numpy(weight) for weight in theirs.weights])
    theirs.save_weights(tmp_path / "keras.weights.h5")
    ours.load_weights(tmp_path / "keras.weights.h5")
    np.testing.assert_allclose(numpy(ours(inputs)), numpy(theirs(inputs)), rtol=1e-5, atol=1e-5)


@every_rank
def test_keras_conformance_of_batch_normalization(rank):
    check_conformance(
        layers.FoldedBatchNormalization,
        {"momentum": 0.9},
        input_shape=(2, *SIZES[: rank - 2], 4),
        expected_output_shape=(2, *SIZES[: rank - 2], 4),
        expected_num_trainable_weights=2,
        expected_num_non_trainable_weights=2,
        supports_masking=True,
    )


def test_files_know_the_batch_normalization_by_its_former_name(tmp_path):
    """Keras stores the class's name, and weights under it: files from before the renaming must load, and vice versa."""
    model = keras.Sequential([keras.Input((4, 3)), layers.FoldedBatchNormalization()])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))["config"]["layers"][1]
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
            assert "batch_normalization" in weights["layers"]
    assert (config["class_name"], config["registered_name"]) == (
        "BatchNormalization",
        "recalib_keras>BatchNormalization",
    )
    assert re.fullmatch(r"batch_normalization(_\d+)?", model.layers[0].name)
    assert type(keras.saving.load_model(tmp_path / "model.keras").layers[0]) is layers.FoldedBatchNormalization


def built(layer, shape):
    """Returns the layer with random weights, the same for all layers."""
    rng = np.random.default_rng(2)
    layer.build(shape)
    layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return layer


@every_rank
def test_instance_normalization_standardizes_each_channel_of_each_example(rank):
    inputs = images(rank)
    outputs = numpy(layers.InstanceNormalization(epsilon=1e-7)(inputs))
    axes = tuple(range(1, rank - 1))
    np.testing.assert_allclose(outputs.mean(axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.var(axis=axes), 1, atol=1e-4)


def test_instance_normalization_by_hand():
    layer = built(layers.InstanceNormalization(epsilon=0.75), (1, 2, 1))
    layer.set_weights([np.array([2.0]), np.array([-0.5])])
    # Mean 3, variance 1 / 4: ±0.5 / √(0.25 + 0.75) = ±0.5, times 2, less 0.5.
    np.testing.assert_allclose(numpy(layer(np.array([[[2.5], [3.5]]], "float32"))), [[[-1.5], [0.5]]], atol=1e-6)


def check_same_instances(pair, inputs, resolution):
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
@pytest.mark.parametrize("policy", INSTANCE_RESOLUTION)
def test_instance_normalization_equals_keras(rank, policy):
    skip_repeated(rank != 5 or policy != "float32")
    inputs = images(rank)
    ours = built(layers.InstanceNormalization(dtype=policy), inputs.shape)
    check_same_instances(
        (ours, built(keras.layers.GroupNormalization(-1), inputs.shape)), inputs, INSTANCE_RESOLUTION[policy]
    )


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"epsilon": 0.1}, {"axis": 1}], ids=str)
def test_instance_options_equal_keras(options):
    inputs = images(5)
    pair = layers.InstanceNormalization(**options), keras.layers.GroupNormalization(-1, **{"epsilon": 1e-3, **options})
    check_same_instances([built(layer, inputs.shape) for layer in pair], inputs, 1e-5)


@every_rank
def test_instance_normalization_takes_unknown_sizes(rank):
    inputs = images(rank)
    layer = built(layers.InstanceNormalization(), inputs.shape)
    tensor = keras.Input((None,) * (rank - 2) + (6,))
    model = keras.Model(tensor, layer(tensor))
    for part in (inputs, inputs[:1]):
        np.testing.assert_allclose(model.predict_on_batch(part), numpy(layer(part)), rtol=1e-5, atol=1e-5)


def test_instance_normalization_takes_the_weights_of_keras_layer():
    inputs = images(5)
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
def test_keras_conformance_of_instance_normalization(rank):
    check_conformance(
        layers.InstanceNormalization,
        {"epsilon": 1e-5},
        input_shape=(2, *SIZES[: rank - 2], 4),
        expected_output_shape=(2, *SIZES[: rank - 2], 4),
        expected_num_trainable_weights=2,
        expected_num_non_trainable_weights=0,
        supports_masking=True,
    )
