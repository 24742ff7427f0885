"""Pooling with indices, unpooling and up-sampling equal PyTorch's, including ties and gradients."""

import keras
import numpy as np
import pytest
from blocks import every_data_format, every_rank, feature_map, numpy, to_channels_last, to_data_format
from conformance import check_conformance
from gradients import layer_gradients

from recalib_keras import layers
from recalib_keras.layers.resizing import INTERPOLATIONS

SIZES = (4, 6, 2)
TORCH_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
every_interpolation = pytest.mark.parametrize("interpolation", INTERPOLATIONS)


def pooled_map(spatial_rank):
    """Returns a channels-last map of two samples: random numbers, and small integers after a ReLU, with many ties."""
    rng = np.random.default_rng(spatial_rank)
    shape = (*SIZES[:spatial_rank], 3)
    return np.stack([rng.normal(size=shape), np.maximum(rng.integers(-3, 3, size=shape), 0)]).astype("float32")


def flat_places(indices):
    """Turns places in each window (channels last) into PyTorch's places in the whole spatial grid."""
    rank = indices.ndim - 2
    bits = [(indices.astype("int64") >> bit) & 1 for bit in reversed(range(rank))]
    windows = np.indices(indices.shape[1:-1])[:, None, ..., None]
    coordinates = [2 * window + bit for window, bit in zip(windows, bits)]
    return np.ravel_multi_index(coordinates, [2 * size for size in indices.shape[1:-1]])


def pool_and_unpool(shape, data_format):
    """Returns a model that pools, doubles the maxima and unpools them."""
    image = keras.Input(shape)
    maxima, indices = layers.MaxPoolingWithIndices(data_format=data_format)(image)
    return keras.Model(image, layers.MaxUnpooling(data_format=data_format)(2 * maxima, indices))


@every_rank
@every_data_format
def test_maxima_and_indices_equal_torch(spatial_rank, data_format):
    torch = pytest.importorskip("torch")
    inputs = pooled_map(spatial_rank)
    pool = getattr(torch.nn.functional, f"max_pool{spatial_rank}d")
    expected = pool(torch.tensor(np.moveaxis(inputs, -1, 1).copy()), 2, return_indices=True)
    maxima, indices = layers.MaxPoolingWithIndices(data_format=data_format)(to_data_format(inputs, data_format))
    assert keras.backend.standardize_dtype(indices.dtype) == "uint8"
    maxima, indices = (to_channels_last(numpy(output), data_format) for output in (maxima, indices))
    np.testing.assert_array_equal(maxima, np.moveaxis(expected[0].numpy(), 1, -1))
    np.testing.assert_array_equal(flat_places(indices), np.moveaxis(expected[1].numpy(), 1, -1))


@every_rank
@every_data_format
def test_unpooling_and_gradients_equal_torch(spatial_rank, data_format):
    torch = pytest.importorskip("torch")
    inputs = pooled_map(spatial_rank)
    cotangent = np.random.default_rng(9).normal(size=inputs.shape).astype("float32")
    theirs = torch.tensor(np.moveaxis(inputs, -1, 1).copy(), requires_grad=True)
    pool = getattr(torch.nn.functional, f"max_pool{spatial_rank}d")
    unpool = getattr(torch.nn.functional, f"max_unpool{spatial_rank}d")
    maxima, places = pool(theirs, 2, return_indices=True)
    expected = unpool(2 * maxima, places, 2)
    (expected * torch.tensor(np.moveaxis(cotangent, -1, 1).copy())).sum().backward()

    ours = to_data_format(inputs, data_format)
    model = pool_and_unpool(ours.shape[1:], data_format)
    outputs = to_channels_last(numpy(model(ours)), data_format)
    by_inputs, _ = layer_gradients(model, ours, to_data_format(cotangent, data_format))
    np.testing.assert_array_equal(outputs, np.moveaxis(expected.detach().numpy(), 1, -1))
    np.testing.assert_array_equal(to_channels_last(by_inputs, data_format), np.moveaxis(theirs.grad.numpy(), 1, -1))


def test_hand_computed_value():
    """The maximum of (1, 7 | 3, 2) is 7, at place 1; on a tie of (4, 5 | 5, 5) the first 5 counts, also at place 1."""
    inputs = np.array([[1.0, 7.0, 4.0, 5.0], [3.0, 2.0, 5.0, 5.0]]).reshape(1, 2, 4, 1)
    maxima, indices = layers.MaxPoolingWithIndices()(inputs)
    assert numpy(maxima).ravel().tolist() == [7.0, 5.0]
    assert numpy(indices).ravel().tolist() == [1, 1]
    unpooled = layers.MaxUnpooling()(maxima, indices)
    assert numpy(unpooled)[0, :, :, 0].tolist() == [[0.0, 7.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0]]


def test_pooling_again_gives_the_maxima_back():
    maxima, indices = layers.MaxPoolingWithIndices()(np.abs(pooled_map(3)) + 1)
    again, indices_again = layers.MaxPoolingWithIndices()(layers.MaxUnpooling()(maxima, indices))
    np.testing.assert_array_equal(numpy(again), numpy(maxima))
    np.testing.assert_array_equal(numpy(indices_again), numpy(indices))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_values_and_places(dtype):
    inputs = pooled_map(3)[1:]
    expected, places = layers.MaxPoolingWithIndices()(inputs)
    maxima, indices = layers.MaxPoolingWithIndices(dtype=f"mixed_{dtype}")(inputs)
    unpooled = layers.MaxUnpooling(dtype=f"mixed_{dtype}")(maxima, indices)
    assert keras.backend.standardize_dtype(unpooled.dtype) == dtype
    np.testing.assert_array_equal(numpy(keras.ops.cast(maxima, "float32")), numpy(expected))
    np.testing.assert_array_equal(numpy(indices), numpy(places))


@every_data_format
def test_unknown_sizes_take_any_even_size(data_format):
    model = pool_and_unpool((3, None, None) if data_format == "channels_first" else (None, None, 3), data_format)
    for size in [(4, 6), (2, 8)]:
        inputs = np.random.default_rng(0).normal(size=(1, *size, 3)).astype("float32")
        inputs = to_data_format(inputs, data_format)
        outputs = model.predict_on_batch(inputs)
        np.testing.assert_array_equal(outputs, np.where(outputs == 0, 0, 2 * inputs))
        assert np.count_nonzero(outputs) == inputs.size // 4


def test_refuses_odd_sizes_symbolically_and_eagerly():
    message = r"expected every spatial size to be even, got the shape \((None|1), 4, 5, 2\); pad or crop"
    with pytest.raises(ValueError, match=message):
        layers.MaxPoolingWithIndices()(keras.Input((4, 5, 2)))
    with pytest.raises(ValueError, match=message):
        layers.MaxPoolingWithIndices()(np.ones((1, 4, 5, 2), "float32"))


@pytest.mark.parametrize("indices_shape", [(4, 4, 1), (4, 2, 2), (2, 4, 2)], ids=str)
def test_refuses_indices_of_another_shape_symbolically_and_eagerly(indices_shape):
    message = r"expected `indices` to have the shape of `inputs`, \((None|1), 4, 4, 2\), got \((None|1), "
    with pytest.raises(ValueError, match=message):
        layers.MaxUnpooling()(keras.Input((4, 4, 2)), keras.Input(indices_shape, dtype="uint8"))
    with pytest.raises(ValueError, match=message):
        layers.MaxUnpooling()(np.ones((1, 4, 4, 2), "float32"), np.zeros((1, *indices_shape), "uint8"))


@every_rank
def test_keras_conformance_of_pooling(spatial_rank):
    shape = (2, *(size // 2 for size in SIZES[:spatial_rank]), 3)
    check_conformance(
        layers.MaxPoolingWithIndices,
        {"data_format": "channels_last"},
        input_shape=(2, *SIZES[:spatial_rank], 3),
        expected_output_shape=(shape, shape),
        expected_num_trainable_weights=0,
        run_training_check=False,  # Keras's check knows models of one output
    )


@every_rank
def test_keras_conformance_of_unpooling(spatial_rank):
    shape = (2, *SIZES[:spatial_rank], 3)
    check_conformance(
        layers.MaxUnpooling,
        {"data_format": "channels_last"},
        input_shape=shape,
        call_kwargs={"indices": np.ones(shape, "uint8")},
        expected_output_shape=(2, *(2 * size for size in SIZES[:spatial_rank]), 3),
        expected_num_trainable_weights=0,
        run_training_check=False,  # nor of two inputs
        run_mixed_precision_check=False,
    )


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


def test_hand_computed_values_of_up_sampling():
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
def test_unknown_sizes_are_doubled(interpolation, data_format):
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
    with pytest.raises(ValueError, match=r"expected `interpolation` to be one of \('nearest', .*\), got 'cubic'"):
        layers.UpSampling("cubic")


@every_rank
@every_interpolation
def test_keras_conformance_of_up_sampling(spatial_rank, interpolation):
    shape = feature_map(spatial_rank).shape
    check_conformance(
        layers.UpSampling,
        {"interpolation": interpolation, "data_format": "channels_last"},
        input_shape=shape,
        expected_output_shape=(shape[0], *(2 * size for size in shape[1:-1]), shape[-1]),
        expected_num_trainable_weights=0,
        run_training_check=False,  # it has nothing to train
    )
