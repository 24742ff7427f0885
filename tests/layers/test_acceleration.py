"""Work that TensorFlow compiles alone gives what it gives uncompiled; other backends run the function itself."""

import keras
import numpy as np
import pytest
from blocks import every_block, feature_map, numpy
from gradients import layer_gradients

from recalib_keras.layers import acceleration


@every_block
def test_fused_block_equals_plain_one(block, monkeypatch):
    inputs = feature_map(3)
    layer = block.randomized(inputs.shape)
    cotangent = np.random.default_rng(1).normal(size=(*inputs.shape[:-1], 8 * block.widening)).astype("float32")
    outputs, (by_inputs, by_weights) = numpy(layer(inputs)), layer_gradients(layer, inputs, cotangent)
    monkeypatch.setattr(acceleration, "_can_fuse", lambda: False)
    np.testing.assert_allclose(outputs, numpy(layer(inputs)), rtol=1e-5, atol=1e-5)
    plain_by_inputs, plain_by_weights = layer_gradients(layer, inputs, cotangent)
    for fused, plain in zip([by_inputs, *by_weights], [plain_by_inputs, *plain_by_weights], strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)


def test_functions_of_several_tensors_and_types():
    """Integers pass through and get no gradient; a tuple comes back as a tuple."""

    def function(values, indices):
        return values * keras.ops.cast(indices, values.dtype), indices + 1

    values, indices = np.array([1.0, 2.0], "float32"), np.array([3, 4], "int32")
    arguments = [keras.ops.convert_to_tensor(array) for array in (values, indices)]
    product, following = acceleration.fused(function)(*arguments)
    np.testing.assert_array_equal(numpy(product), values * indices)
    np.testing.assert_array_equal(numpy(following), indices + 1)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow compiles parts of a model")
def test_tensorflow_compiles_and_falls_back_under_a_strategy():
    import tensorflow as tf

    seen = []

    def function(values):
        seen.append(tf.executing_eagerly())
        return values + 1

    fused = acceleration.fused(function)
    assert float(fused(tf.constant(1.0))) == 2.0
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert float(fused(tf.constant(1.0))) == 2.0
    assert seen == [False, True]


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow compiles it")
def test_other_backends_run_the_function_itself():
    seen = []
    acceleration.fused(seen.append)("tensor")
    assert seen == ["tensor"]
