"""Up-sampling equals repetition and PyTorch's interpolation."""

import keras
import numpy as np
import pytest
from blocks import every_data_format, every_rank, feature_map, numpy, to_channels_last, to_data_format
from conformance import check_conformance
from gradients import layer_gradients

from recalib_keras import layers
from recalib_keras.layers.up_sampling import INTERPOLATIONS

TORCH_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
every_interpolation = pytest.mark.parametrize("interpolation", INTERPOLATIONS)


@every_rank
@every_data_format
def test_nearest_repeats(spatial_rank, data_format):
    inputs = feature_map(spatial_rank)
    expected = inputs
    for axis in range(1, spatial_rank + 1):
        expected = np.repeat(expected, 2, axis=axis)
    layer = layers.UpSampling("nearest", data_format=data_format)
    outputs = to_channels_last(numpy(layer(to_data_format(inputs, data_format))), data_format)
    np.testing.assert_array_equal(outputs, expected)


@every_rank
@every_data_format
def test_linear_equals_torch(spatial_rank, data_format):
    torch = pytest.importorskip("torch")
    inputs = feature_map(spatial_rank)
    rng = np.random.default_rng(3)
    theirs = torch.tensor(np.moveaxis(inputs, -1, 1).copy(), requires_grad=True)
    expected = torch.nn.functional.interpolate(
        theirs, scale_factor=2, mode=TORCH_MODES[spatial_rank], align_corners=False
    )
    cotangent = rng.normal(size=expected.shape).astype("float32")
    (expected * torch.tensor(cotangent)).sum().backward()

    layer = layers.UpSampling("linear", data_format=data_format)
    ours = to_data_format(inputs, data_format)
    outputs = to_channels_last(numpy(layer(ours)), data_format)
    cotangent = to_data_format(np.moveaxis(cotangent, 1, -1), data_format)
    by_inputs, _ = layer_gradients(layer, ours, cotangent)
    np.testing.assert_allclose(outputs, np.moveaxis(expected.detach().numpy(), 1, -1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        to_channels_last(by_inputs, data_format), np.moveaxis(theirs.grad.numpy(), 1, -1), rtol=1e-5, atol=1e-5
    )


def test_hand_computed_values():
    """New values stand a quarter before and after each old one; the border's is held."""
    inputs = np.array([0.0, 4.0, 8.0]).reshape(1, 3, 1)
    assert numpy(layers.UpSampling("linear")(inputs)).ravel().tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]
    assert numpy(layers.UpSampling("nearest")(inputs)).ravel().tolist() == [0.0, 0.0, 4.0, 4.0, 8.0, 8.0]


@every_interpolation
def test_a_size_of_one_is_repeated(interpolation):
    inputs = feature_map(2)[:, :1, :1]
    outputs = numpy(layers.UpSampling(interpolation)(inputs))
    np.testing.assert_array_equal(outputs, np.broadcast_to(inputs, outputs.shape))


@every_interpolation
@every_data_format
def test_unknown_sizes_take_any_size(interpolation, data_format):
    image = keras.Input((3, None, None) if data_format == "channels_first" else (None, None, 3))
    layer = layers.UpSampling(interpolation, data_format=data_format)
    model = keras.Model(image, layer(image))
    for size in [(4, 3), (1, 6)]:
        inputs = np.random.default_rng(0).normal(size=(1, *size, 3)).astype("float32")
        inputs = to_data_format(inputs, data_format)
        outputs = model.predict_on_batch(inputs)
        assert outputs.shape == to_data_format(np.empty((1, 2 * size[0], 2 * size[1], 3)), data_format).shape
        np.testing.assert_allclose(outputs, numpy(layer(inputs)), rtol=1e-6, atol=1e-6)


def test_refuses_unknown_interpolation():
    with pytest.raises(ValueError, match=r"`interpolation` must be one of \('nearest', .*interpolation='cubic'"):
        layers.UpSampling("cubic")


@every_rank
@every_interpolation
def test_keras_conformance(spatial_rank, interpolation):
    shape = feature_map(spatial_rank).shape
    check_conformance(
        layers.UpSampling,
        {"interpolation": interpolation, "data_format": "channels_last"},
        input_shape=shape,
        expected_output_shape=(shape[0], *(2 * size for size in shape[1:-1]), shape[-1]),
        expected_num_trainable_weights=0,
        run_training_check=False,  # it has nothing to train
    )
