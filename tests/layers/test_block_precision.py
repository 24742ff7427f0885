"""Half precision: no mean of a large volume lost, no gate saturated, no NaN."""

import keras
import numpy as np
import pytest
from blocks import BLOCKS, every_block, feature_map, numpy, weights_of
from gradients import layer_gradients

RESOLUTION = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
MAKES_LOGITS = ("expand/bias", "squeeze/bias", "spatial/neighbourhood/bias")
every_half = pytest.mark.parametrize("dtype", RESOLUTION)


def rounded(array, dtype):
    """Returns the array after a round trip through `dtype`."""
    return numpy(keras.ops.cast(keras.ops.cast(array, dtype), "float32"))


@every_half
@every_block
def test_half_precision_equals_formula_within_its_resolution(block, dtype):
    inputs = rounded(feature_map(3), dtype)
    layer = block.randomized(inputs.shape, dtype=f"mixed_{dtype}")
    expected = block.formula(inputs.astype("float64"), weights_of(layer))
    outputs = numpy(keras.ops.cast(layer(inputs), "float32"))
    # Errors of a few roundings, relative to the largest values that entered the sums.
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=8 * RESOLUTION[dtype] * np.abs(expected).max())


@every_half
@pytest.mark.parametrize("name", ["cse", "scse_max", "pe", "cbam"])
def test_mean_of_a_large_volume_is_kept(name, dtype):
    """64³ values above one: their sum overflows float16, and in bfloat16 stops growing after a few hundred."""
    values = 1 + np.random.default_rng(0).integers(0, 9, size=(1, 64, 64, 64, 2)) / 64
    layer = BLOCKS[name].layer(dtype=f"mixed_{dtype}", data_format="channels_last")
    layer.build(values.shape)
    descriptor = layer.compress(keras.ops.cast(values, dtype))
    if name == "pe":
        means = {(2, 3): descriptor[0], (1, 3): descriptor[1], (1, 2): descriptor[2]}
    else:
        means = {(1, 2, 3): descriptor if name == "cse" else descriptor[0]}
    for axes, mean in means.items():
        np.testing.assert_allclose(numpy(mean), values.mean(axis=axes, keepdims=True), rtol=1e-5)


@every_half
def test_gate_follows_a_mean_finer_than_its_type(dtype):
    """Logits of 256 times the mean's distance from one: a mean rounded to bfloat16 would move a gate by 0.1."""
    values = 1 + np.random.default_rng(0).integers(0, 3, size=(1, 64, 64, 64, 1)) * 2.0**-7
    values[:, :32] = 1
    layer = BLOCKS["cse"].layer(reduction_ratio=1, dtype=f"mixed_{dtype}")
    layer.build(values.shape)
    layer.set_weights([np.ones((1, 1)), -np.ones(1), np.full((1, 1), 256.0), np.zeros(1)])
    gate = 1 / (1 + np.exp(-256 * (values.mean() - 1)))
    assert 0.6 < gate < 0.9
    outputs = numpy(keras.ops.cast(layer(values), "float32"))
    np.testing.assert_allclose(outputs, values * gate, rtol=2 * RESOLUTION[dtype])


@every_half
@pytest.mark.parametrize("name", ["cse", "sse", "scse_max", "scse_add", "pe", "segse_without_recombination", "cbam"])
def test_gradient_does_not_vanish_at_logits_of_twelve(name, dtype):
    """σ(12) rounds to 1 in half precision, whose derivative would be 0; its true derivative is 6.1e-6."""
    inputs = rounded(1 + np.abs(feature_map(3)), dtype)
    layer = BLOCKS[name].layer(dtype=f"mixed_{dtype}")
    layer.build(inputs.shape)
    # The logit of cbam's channel gates is the sum of two.
    biases = {path: 6.0 if name == "cbam" and "expand" in path else 12.0 for path in weights_of(layer)}
    biases = {path: bias * path.endswith(MAKES_LOGITS) for path, bias in biases.items()}

    def total(shift):
        """The sum of the outputs, with all biases that make logits shifted."""
        shifted = {path: biases[path] + shift * (biases[path] > 0) for path in biases}
        shifted = {path: np.full(weight.shape, shifted[path]) for path, weight in weights_of(layer).items()}
        return BLOCKS[name].formula(inputs.astype("float64"), shifted).sum()

    expected = (total(1e-4) - total(-1e-4)) / 2e-4
    assert expected > 1e-3
    layer.set_weights([np.full(weight.shape, bias) for weight, bias in zip(layer.weights, biases.values())])
    _, by_weights = layer_gradients(layer, inputs, np.ones_like(inputs))
    gradient = sum(by_weight.sum() for by_weight, bias in zip(by_weights, biases.values()) if bias)
    np.testing.assert_allclose(gradient, expected, rtol=0.05)


@every_half
@every_block
def test_no_nan_at_ten_thousand(block, dtype):
    inputs = np.sign(feature_map(3)) * 1e4
    layer = block.layer(dtype=f"mixed_{dtype}")
    for data in (inputs, np.abs(inputs), -np.abs(inputs)):
        assert not np.isnan(rounded(layer(data), dtype)).any()


@every_half
@pytest.mark.parametrize("name", [name for name in BLOCKS if not name.startswith(("segse", "pe"))])
def test_overflowing_logits_give_no_nan(name, dtype):
    """Infinite logits close or open a gate. Hidden maps of full size, as in PE and SegSE, may not overflow."""
    inputs = np.full((1, 4, 4, 4, 8), 1e4, "float32")
    layer = BLOCKS[name].randomized(inputs.shape, dtype=f"mixed_{dtype}")
    layer.set_weights([8 * numpy(weight) for weight in layer.weights])
    assert not np.isnan(rounded(layer(inputs), dtype)).any()
