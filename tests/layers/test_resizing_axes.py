"""Pooling, unpooling and up-sampling of some axes equal those of every slice along the others."""

import keras
import numpy as np
import pytest
from blocks import every_data_format, numpy, to_channels_last, to_data_format
from conformance import check_conformance

from recalib_keras import layers


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(2, 4, 6, 3, 2)).astype("float32")


def by_slice(layer, *arrays):
    """Returns the outputs of a 2-D layer for each slice along the third axis, put together again."""
    found = [layer(*(array[:, :, :, place] for array in arrays)) for place in range(arrays[0].shape[3])]
    if isinstance(found[0], (list, tuple)):
        return [np.stack([numpy(one) for one in parts], axis=3) for parts in zip(*found)]
    return np.stack([numpy(one) for one in found], axis=3)


@every_data_format
def test_unpooling_undoes_pooling_slice_by_slice(images, data_format):
    pool = layers.MaxPoolingWithIndices(data_format, pool_size=(2, 2, 1))
    unpool = layers.MaxUnpooling(data_format, pool_size=(2, 2, 1))
    maxima, indices = pool(to_data_format(images, data_format))
    expected, places = by_slice(layers.MaxPoolingWithIndices("channels_last"), images)
    np.testing.assert_array_equal(to_channels_last(numpy(maxima), data_format), expected)
    np.testing.assert_array_equal(to_channels_last(numpy(indices), data_format), places)
    unpooled = to_channels_last(numpy(unpool(maxima, indices)), data_format)
    np.testing.assert_array_equal(unpooled, by_slice(layers.MaxUnpooling("channels_last"), expected, places))
    assert pool.compute_output_shape((None, 4, 6, 3, 2) if data_format == "channels_last" else (None, 2, 4, 6, 3))


@every_data_format
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_up_sampling_of_some_axes(images, interpolation, data_format):
    layer = layers.UpSampling(interpolation, data_format, pool_size=(2, 2, 1))
    found = to_channels_last(numpy(layer(to_data_format(images, data_format))), data_format)
    expected = by_slice(layers.UpSampling(interpolation, "channels_last"), images)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pooling_of_one_axis_by_hand():
    maxima, indices = layers.MaxPoolingWithIndices("channels_last", pool_size=(1, 2))(
        np.array([[1.0, 7.0, 4.0, 5.0], [3.0, 2.0, 5.0, 5.0]]).reshape(1, 2, 4, 1)
    )
    assert numpy(maxima).ravel().tolist() == [7.0, 5.0, 3.0, 5.0]
    assert numpy(indices).ravel().tolist() == [1, 1, 0, 0]


def test_gradients_reach_the_maxima_alone(images):
    from gradients import layer_gradients

    image = keras.Input((4, 6, 3, 2))
    maxima, indices = layers.MaxPoolingWithIndices("channels_last", pool_size=(2, 1, 1))(image)
    unpooled = layers.MaxUnpooling("channels_last", pool_size=(2, 1, 1))(maxima, indices)
    by_inputs, _ = layer_gradients(keras.Model(image, unpooled), images, np.ones_like(images))
    first, second = images[:, ::2], images[:, 1::2]
    expected = np.stack([first >= second, first < second], axis=2).reshape(images.shape)
    np.testing.assert_array_equal(by_inputs, expected.astype("float32"))


def test_conformance_of_up_sampling_along_some_axes():
    check_conformance(
        layers.UpSampling,
        {"pool_size": (1, 2), "data_format": "channels_last"},
        input_shape=(2, 4, 6, 3),
        expected_output_shape=(2, 4, 12, 3),
        run_training_check=False,
    )


@pytest.mark.parametrize("pool_size", [3, 1, (1, 1), (2, 4), ()])
def test_refuses_sizes_that_are_none(pool_size):
    with pytest.raises(ValueError, match="expected `pool_size` to be 2, or 1 or 2 for each spatial axis and 2 for one"):
        layers.UpSampling(pool_size=pool_size)


def test_refuses_another_number_of_axes_and_odd_sizes():
    layer = layers.MaxPoolingWithIndices("channels_last", pool_size=(2, 1))
    with pytest.raises(
        ValueError, match=r"expected `pool_size` to have a number for each of 3 spatial axes, got \(2, 1\)"
    ):
        layer(np.zeros((1, 4, 4, 4, 1)))
    with pytest.raises(ValueError, match=r"expected every spatial size that `pool_size` \(2, 1\) halves to be even"):
        layer(np.zeros((1, 3, 4, 1)))
