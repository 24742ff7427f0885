"""Blocks of voxels to channels of one voxel, and back: a network then works at a fraction of its input's resolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.resizing import Shape, spatial_axes


class _Rearrangement(keras.layers.Layer):
    """Base of the two layers."""

    def __init__(self, block_size: int = 2, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if block_size < 2:
            raise ValueError(f"expected `block_size` to be at least 2, got {block_size}")
        self.block_size = block_size
        self.data_format = data_format or keras.config.image_data_format()

    def call(self, inputs: Tensor) -> Tensor:
        self.compute_output_shape(inputs.shape)  # reports sizes that do not fit before an operation fails
        if self.data_format == "channels_last":
            return self._rearrange(inputs)
        return ops.moveaxis(self._rearrange(ops.moveaxis(inputs, 1, -1)), -1, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block_size": self.block_size, "data_format": self.data_format}

    def _shape(self, input_shape: Shape, size: Callable[[int], int], channels: Callable[[int], int]) -> Shape:
        """Returns a shape with one function applied to each known spatial size and one to the channels."""
        spatial = spatial_axes(len(input_shape), self.data_format)
        return tuple(
            length if axis == 0 or length is None else size(length) if axis in spatial else channels(length)
            for axis, length in enumerate(input_shape)
        )


@keras.saving.register_keras_serializable(package="recalib_keras")
class SpaceToDepth(_Rearrangement):
    """Turns each block of voxels into one voxel that has all of their channels; the inverse of `DepthToSpace`.

    Args:
        block_size: Side of a block in voxels, at least 2.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)` with spatial sizes that `block_size` divides, and any number of spatial
        axes.

    Output shape: `(batch, *(spatial / block_size), block_size ** axes · channels)`, the voxels of a block in C order.

    Raises:
        ValueError: For a size that `block_size` does not divide, and for a `block_size` below 2.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.SpaceToDepth()(keras.ops.ones((1, 8, 8, 8, 1))).shape == (1, 4, 4, 4, 8)
    True

    Reference:
        Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
        Neural Network", CVPR 2016: its periodic shuffling, in any number of dimensions.
    """

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        side = self.block_size
        spatial = spatial_axes(len(input_shape), self.data_format)
        if any(input_shape[axis] is not None and input_shape[axis] % side for axis in spatial):
            raise ValueError(
                f"expected every spatial size to be a multiple of `block_size`, {side}, got the shape "
                f"{tuple(input_shape)}; pad or crop the others"
            )
        return self._shape(input_shape, lambda size: size // side, lambda channels: channels * side ** len(spatial))

    def _rearrange(self, inputs):
        side, (_, *sizes, channels) = self.block_size, ops.shape(inputs)
        coarse = [size // side for size in sizes]
        apart = [-1, side]  # blocks along the first axis, for the whole batch; places in each block; and so on
        for blocks in coarse[1:]:
            apart += [blocks, side]
        apart[-1] *= channels
        axes = range(len(apart))
        return ops.reshape(
            ops.transpose(ops.reshape(inputs, apart), (*axes[::2], *axes[1::2])),
            (-1, *coarse, side ** len(sizes) * channels),
        )


@keras.saving.register_keras_serializable(package="recalib_keras")
class DepthToSpace(_Rearrangement):
    """Turns each voxel into a block of voxels that share its channels; the inverse of `SpaceToDepth`.

    Args:
        block_size: Side of a block in voxels, at least 2.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)` with a number of channels that `block_size ** axes` divides.

    Output shape: `(batch, *(spatial · block_size), channels / block_size ** axes)`.

    Raises:
        ValueError: For a number of channels that `block_size ** axes` does not divide, and for a `block_size` below 2.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.DepthToSpace()(keras.ops.ones((1, 4, 4, 4, 16))).shape == (1, 8, 8, 8, 2)
    True

    Reference:
        Shi et al., CVPR 2016; see `SpaceToDepth`.
    """

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        side, places = self.block_size, self.block_size ** (len(input_shape) - 2)
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        if channels is not None and channels % places:
            raise ValueError(
                f"expected the number of channels to be a multiple of {places}, the voxels of a block, got the shape "
                f"{tuple(input_shape)}"
            )
        return self._shape(input_shape, lambda size: size * side, lambda channels: channels // places)

    def _rearrange(self, inputs):
        side, (_, *coarse, channels) = self.block_size, ops.shape(inputs)
        channels = channels // side ** len(coarse)
        apart = [-1, *coarse[1:], *[side] * (len(coarse) - 1), side * channels]
        axes = range(len(coarse))
        pairs = [axis for blocks in axes for axis in (blocks, len(coarse) + blocks)]
        return ops.reshape(
            ops.transpose(ops.reshape(inputs, apart), pairs), (-1, *(size * side for size in coarse), channels)
        )
