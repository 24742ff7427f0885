"""Work that TensorFlow compiles alone gives what it gives uncompiled; other backends run the function itself."""

import keras
import numpy as np
import pytest
from blocks import every_block, feature_map, numpy
from gradients import layer_gradients

from recalib_keras import layers
from recalib_keras.layers import acceleration

only_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow compiles parts of a model"
)


@only_tensorflow
@every_block
def test_fused_block_equals_plain_one(block, monkeypatch):
    inputs = feature_map(3)
    layer = block.randomized(inputs.shape)
    cotangent = np.random.default_rng(1).normal(size=(*inputs.shape[:-1], 8 * block.widening)).astype("float32")
    outputs, (by_inputs, by_weights) = numpy(layer(inputs)), layer_gradients(layer, inputs, cotangent)
    monkeypatch.setattr(acceleration, "can_fuse", lambda: False)
    np.testing.assert_allclose(outputs, numpy(layer(inputs)), rtol=1e-5, atol=1e-5)
    plain_by_inputs, plain_by_weights = layer_gradients(layer, inputs, cotangent)
    for fused, plain in zip([by_inputs, *by_weights], [plain_by_inputs, *plain_by_weights], strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)


class PoolAndUnpool(keras.layers.Layer):
    """The maxima of windows at their places: values moved by indices, there and back."""

    def __init__(self):
        super().__init__()
        self.pool, self.unpool = layers.MaxPoolingWithIndices(), layers.MaxUnpooling()

    def call(self, inputs):
        return self.unpool(*self.pool(inputs))


@only_tensorflow
@pytest.mark.parametrize(
    "make", [PoolAndUnpool, lambda: layers.UpSampling("nearest"), lambda: layers.UpSampling("linear")]
)
def test_fused_resizing_equals_the_plain_one(make, monkeypatch):
    inputs, layer = feature_map(3)[:, :4, :, :2], make()
    outputs = numpy(layer(inputs))
    cotangent = np.random.default_rng(1).normal(size=outputs.shape).astype("float32")
    by_inputs, _ = layer_gradients(layer, inputs, cotangent)
    monkeypatch.setattr(acceleration, "can_fuse", lambda: False)
    plain = make()
    np.testing.assert_allclose(outputs, numpy(plain(inputs)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(by_inputs, layer_gradients(plain, inputs, cotangent)[0], rtol=1e-5, atol=1e-6)


@only_tensorflow
def test_results_in_bfloat16_are_rounded_as_tensorflow_rounds():
    import tensorflow as tf

    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype="uint32")
    some = np.concatenate([bits, [0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F7FFFFF, 0x3F808000, 0x3F818000]])
    some = some[some & 0x7F800000 > 0].astype("uint32")  # XLA takes subnormal numbers for 0
    values = tf.constant(some.view("float32"))  # NaN, the largest number and ties among them
    of_them = acceleration.fused(lambda like, places: tf.gather(values, places) + 0 * tf.cast(like, tf.float32))
    rounded = of_them(tf.zeros(len(values), tf.bfloat16), tf.range(len(values)))
    assert rounded.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(rounded, tf.float32), tf.cast(tf.cast(values, tf.bfloat16), tf.float32))


def test_functions_of_several_tensors_and_types():
    """Integers pass through and get no gradient; a tuple comes back as a tuple."""

    def function(values, indices):
        return values * keras.ops.cast(indices, values.dtype), indices + 1

    values, indices = np.array([1.0, 2.0], "float32"), np.array([3, 4], "int32")
    arguments = [keras.ops.convert_to_tensor(array) for array in (values, indices)]
    product, following = acceleration.fused(function)(*arguments)
    np.testing.assert_array_equal(numpy(product), values * indices)
    np.testing.assert_array_equal(numpy(following), indices + 1)


@only_tensorflow
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
