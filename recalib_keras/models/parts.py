"""The parts that networks are assembled from: each applies named layers to a symbolic tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from recalib_keras import layers
from recalib_keras.layers.acceleration import Tensor

# Wu & He, "Group Normalization", ECCV 2018, use 32 groups for hundreds of maps; these networks have tens.
LARGEST_NUMBER_OF_GROUPS = 8
# Keras's 0.99 averages over hundreds of steps, more than a short training on a few scans has.
BATCH_NORMALIZATION_MOMENTUM = 0.9


@dataclass(frozen=True)
class Parts:
    """The settings that all layers of a network share, and the layers made with them.

    Args:
        spatial_rank: 2 or 3.
        kernel_size: Kernel size of the blocks' convolutions.
        normalization: `"none"`, `"batch"`, `"group"` or `"instance"`.
        dropout: Rate from 0 to below 1.
        dtype: Dtype policy of every layer.
    """

    spatial_rank: int
    kernel_size: int
    normalization: str
    dropout: float
    dtype: keras.DTypePolicy

    def convolve(self, x: Tensor, filters: int, name: str, kernel_size: int | None = None, suffix: str = "") -> Tensor:
        """Applies a padded convolution, the normalization and a ReLU.

        Args:
            x: Symbolic tensor.
            filters: Number of feature maps.
            name: Name of the stage, such as `"encoder_1"`; the layers are named after it.
            kernel_size: Defaults to the network's.
            suffix: Added to the layers' names, to tell the convolutions of a block apart.
        """
        x = self.layer(
            "Conv{}D",
            filters,
            kernel_size or self.kernel_size,
            padding="same",
            use_bias=self.normalization == "none",  # a normalization would subtract the bias again
            kernel_initializer="he_normal",
            name=f"{name}_conv{suffix}",
        )(x)
        x = self.normalize(x, f"{name}_norm{suffix}")
        return keras.layers.ReLU(dtype=self.dtype, name=f"{name}_relu{suffix}")(x)

    def normalize(self, x: Tensor, name: str) -> Tensor:
        """Applies the normalization, if there is one."""
        if self.normalization == "none":
            return x
        if self.normalization == "batch":
            layer = layers.FoldedBatchNormalization(momentum=BATCH_NORMALIZATION_MOMENTUM, dtype=self.dtype, name=name)
        elif self.normalization == "instance":
            layer = layers.InstanceNormalization(dtype=self.dtype, name=name)
        else:
            groups = math.gcd(x.shape[-1], LARGEST_NUMBER_OF_GROUPS)
            layer = keras.layers.GroupNormalization(groups, dtype=self.dtype, name=name)
        return layer(x)

    def drop(self, x: Tensor, name: str) -> Tensor:
        """Applies dropout, if there is one."""
        return keras.layers.Dropout(self.dropout, dtype=self.dtype, name=name)(x) if self.dropout else x

    def concatenate(self, tensors: Sequence[Tensor], name: str) -> Tensor:
        """Joins tensors along their channels."""
        return keras.layers.Concatenate(dtype=self.dtype, name=name)(tensors)

    def pool(self, x: Tensor, name: str, with_indices: bool) -> tuple[Tensor, Tensor | None]:
        """Halves the spatial axes by max pooling; returns the maxima, and their indices or None."""
        if with_indices:
            return layers.MaxPoolingWithIndices(data_format="channels_last", dtype=self.dtype, name=name)(x)
        return self.layer("MaxPooling{}D", 2, name=name)(x), None

    def upsample(self, x: Tensor, indices: Tensor | None, filters: int, upsampling: str, name: str) -> Tensor:
        """Doubles the spatial axes.

        Args:
            x: Symbolic tensor.
            indices: Of the matching pooling, for `"unpool"`.
            filters: Number of feature maps after `"transpose"`; the other methods keep their number.
            upsampling: `"transpose"`, `"unpool"`, `"nearest"` or `"linear"`.
            name: Name of the layer.
        """
        if upsampling == "transpose":
            return self.layer("Conv{}DTranspose", filters, 2, strides=2, name=name)(x)
        if upsampling == "unpool":
            if x.shape[-1] != indices.shape[-1]:
                x = self.layer("Conv{}D", indices.shape[-1], 1, name=f"{name}_match")(x)
            return layers.MaxUnpooling(data_format="channels_last", dtype=self.dtype, name=name)(x, indices)
        return layers.UpSampling(upsampling, data_format="channels_last", dtype=self.dtype, name=name)(x)

    def to_patches(self, x: Tensor, patch_size: int, name: str) -> Tensor:
        """Turns each patch of voxels into the channels of one voxel; a patch size of 1 changes nothing."""
        if patch_size == 1:
            return x
        return layers.SpaceToDepth(patch_size, data_format="channels_last", dtype=self.dtype, name=name)(x)

    def from_patches(self, x: Tensor, patch_size: int, name: str) -> Tensor:
        """Turns the channels of each voxel into a patch of voxels again."""
        if patch_size == 1:
            return x
        return layers.DepthToSpace(patch_size, data_format="channels_last", dtype=self.dtype, name=name)(x)

    def layer(self, class_name: str, *args: Any, **kwargs: Any) -> keras.layers.Layer:
        """Returns a Keras layer of the network's rank, such as `Conv3D` for `"Conv{}D"`; ours, where there is one."""
        name = class_name.format(self.spatial_rank)
        layer_class = getattr(layers, name, None) or getattr(keras.layers, name)
        return layer_class(*args, data_format="channels_last", dtype=self.dtype, **kwargs)
