"""Blocks of voxels as channels, and back."""

import keras
import numpy as np
import pytest
from blocks import every_data_format, every_rank, numpy, to_channels_last, to_data_format
from conformance import check_conformance

from recalib_keras import layers

every_block_size = pytest.mark.parametrize("block_size", [2, 3])


def volume(spatial_rank, block_size):
    """Returns a feature map of a different size along each axis, all of which the block size divides."""
    sizes = [block_size * (axis + 2) for axis in range(spatial_rank)]
    return np.random.default_rng(0).normal(size=(2, *sizes, 3)).astype("float32")


@every_rank
@every_data_format
@every_block_size
def test_each_block_becomes_the_channels_of_a_voxel(spatial_rank, data_format, block_size):
    inputs = volume(spatial_rank, block_size)
    places = np.ndindex(*[block_size] * spatial_rank)
    each = [inputs[(slice(None), *(slice(start, None, block_size) for start in place))] for place in places]
    layer = layers.SpaceToDepth(block_size, data_format=data_format)
    outputs = to_channels_last(numpy(layer(to_data_format(inputs, data_format))), data_format)
    np.testing.assert_array_equal(outputs, np.concatenate(each, axis=-1))


@every_rank
@every_data_format
@every_block_size
def test_each_undoes_the_other(spatial_rank, data_format, block_size):
    inputs = to_data_format(volume(spatial_rank, block_size), data_format)
    there = layers.SpaceToDepth(block_size, data_format=data_format)
    back = layers.DepthToSpace(block_size, data_format=data_format)
    np.testing.assert_array_equal(numpy(back(there(inputs))), inputs)


def test_planes_equal_those_of_keras():
    inputs = volume(2, 2)
    np.testing.assert_array_equal(numpy(layers.SpaceToDepth()(inputs)), numpy(keras.ops.space_to_depth(inputs, 2)))


@every_data_format
def test_unknown_sizes_take_any_size(data_format):
    image = keras.Input((3, None, None) if data_format == "channels_first" else (None, None, 3))
    there = layers.SpaceToDepth(data_format=data_format)
    model = keras.Model(image, layers.DepthToSpace(data_format=data_format)(there(image)))
    for size in [(4, 2), (2, 6)]:
        inputs = to_data_format(np.random.default_rng(0).normal(size=(1, *size, 3)).astype("float32"), data_format)
        np.testing.assert_array_equal(model.predict_on_batch(inputs), inputs)


def test_refuses_sizes_that_do_not_divide():
    with pytest.raises(ValueError, match=r"multiple of `block_size`, 2, got the shape \(1, 4, 5, 1\)"):
        layers.SpaceToDepth(data_format="channels_last")(np.zeros((1, 4, 5, 1), "float32"))
    with pytest.raises(
        ValueError, match=r"number of channels to be a multiple of 8, .*got the shape \(1, 2, 2, 2, 12\)"
    ):
        layers.DepthToSpace(data_format="channels_last")(np.zeros((1, 2, 2, 2, 12), "float32"))
    with pytest.raises(ValueError, match="expected `block_size` to be at least 2, got 1"):
        layers.SpaceToDepth(1)


@every_rank
def test_keras_conformance(spatial_rank):
    arguments = {"block_size": 2, "data_format": "channels_last"}
    fine = (2, *[4] * spatial_rank, 3)
    coarse = (2, *[2] * spatial_rank, 3 * 2**spatial_rank)
    for layer_class, shape, other in ((layers.SpaceToDepth, fine, coarse), (layers.DepthToSpace, coarse, fine)):
        check_conformance(
            layer_class,
            arguments,
            input_shape=shape,
            expected_output_shape=other,
            expected_num_trainable_weights=0,
            run_training_check=False,  # it has nothing to train
        )
