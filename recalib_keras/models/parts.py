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
# Added to variances: Keras's own value, and PyTorch's, which the authors' networks were trained with.
EPSILON, AUTHORS_EPSILON = 1e-3, 1e-5
AUTHORS_SLOPE = 0.25  # PyTorch's first slope of a PReLU


@dataclass(frozen=True)
class Parts:
    """The settings that all layers of a network share, and the layers made with them.

    Args:
        spatial_rank: 2 or 3.
        kernel_size: Kernel size of the blocks' convolutions, one for all axes or one for each.
        normalization: `"none"`, `"batch"`, `"group"` or `"instance"`.
        dropout: Rate from 0 to below 1.
        dtype: Dtype policy of every layer.
        epsilon: Added to variances by normalizations.
    """

    spatial_rank: int
    kernel_size: int | tuple[int, ...]
    normalization: str
    dropout: float
    dtype: keras.DTypePolicy
    epsilon: float = EPSILON

    def convolve(self, x: Tensor, filters: int, name: str, kernel_size: int | None = None, suffix: str = "") -> Tensor:
        """Applies a padded convolution, the normalization and a ReLU.

        Args:
            x: Symbolic tensor.
            filters: Number of feature maps.
            name: Name of the stage, such as `"encoder_1"`; the layers are named after it.
            kernel_size: Defaults to the network's.
            suffix: Added to the layers' names, to tell the convolutions of a block apart.
        """
        has_bias = self.normalization == "none"  # a normalization would subtract it again
        x = self.convolution(filters, kernel_size, f"{name}_conv{suffix}", has_bias)(x)
        x = self.normalize(x, f"{name}_norm{suffix}")
        return keras.layers.ReLU(dtype=self.dtype, name=f"{name}_relu{suffix}")(x)

    def convolution(self, filters: int, kernel_size: int | None, name: str, use_bias: bool) -> keras.layers.Layer:
        """Returns a padded convolution.

        Args:
            filters: Number of feature maps.
            kernel_size: None for the network's.
            name: Of the layer.
            use_bias: Whether it has a bias.
        """
        settings = {"padding": "same", "use_bias": use_bias, "kernel_initializer": "he_normal", "name": name}
        return self.layer("Conv{}D", filters, kernel_size or self.kernel_size, **settings)

    def shared_prelu(self, name: str) -> keras.layers.Layer:
        """Returns a PReLU with one slope for all maps and positions, to be applied to any number of maps."""
        every_axis = list(range(1, self.spatial_rank + 2))
        slope = keras.initializers.Constant(AUTHORS_SLOPE)
        return keras.layers.PReLU(slope, shared_axes=every_axis, dtype=self.dtype, name=name)

    def normalize(self, x: Tensor, name: str) -> Tensor:
        """Applies the normalization, if there is one."""
        if self.normalization == "none":
            return x
        if self.normalization == "batch":
            layer = layers.FoldedBatchNormalization(
                momentum=BATCH_NORMALIZATION_MOMENTUM, epsilon=self.epsilon, dtype=self.dtype, name=name
            )
        elif self.normalization == "instance":
            layer = layers.InstanceNormalization(self.epsilon, dtype=self.dtype, name=name)
        else:
            groups = math.gcd(x.shape[-1], LARGEST_NUMBER_OF_GROUPS)
            layer = keras.layers.GroupNormalization(groups, epsilon=self.epsilon, dtype=self.dtype, name=name)
        return layer(x)

    def drop(self, x: Tensor, name: str) -> Tensor:
        """Applies dropout, if there is one."""
        return keras.layers.Dropout(self.dropout, dtype=self.dtype, name=name)(x) if self.dropout else x

    def drop_maps(self, x: Tensor, name: str) -> Tensor:
        """Applies dropout of whole feature maps, if there is any dropout."""
        if not self.dropout:
            return x
        layer_class = getattr(keras.layers, f"SpatialDropout{self.spatial_rank}D")
        return layer_class(self.dropout, data_format="channels_last", dtype=self.dtype, name=name)(x)

    def concatenate(self, tensors: Sequence[Tensor], name: str) -> Tensor:
        """Joins tensors along their channels."""
        return keras.layers.Concatenate(dtype=self.dtype, name=name)(tensors)

    def pool(
        self, x: Tensor, name: str, pool_size: int | tuple[int, ...], with_indices: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Halves spatial axes by max pooling; returns the maxima, and their indices or None."""
        if with_indices:
            layer = layers.MaxPoolingWithIndices("channels_last", pool_size, dtype=self.dtype, name=name)
            return layer(x)
        return self.layer("MaxPooling{}D", pool_size, name=name)(x), None

    def upsample(
        self,
        x: Tensor,
        indices: Tensor | None,
        filters: int,
        upsampling: str,
        name: str,
        pool_size: int | tuple[int, ...],
    ) -> Tensor:
        """Doubles the spatial axes that the matching pooling has halved.

        Args:
            x: Symbolic tensor.
            indices: Of the matching pooling, for `"unpool"`.
            filters: Number of feature maps after `"transpose"`; the other methods keep their number.
            upsampling: `"transpose"`, `"unpool"`, `"nearest"` or `"linear"`.
            name: Name of the layer.
            pool_size: 2 for all axes, or 1 or 2 for each of them.
        """
        if upsampling == "transpose":
            return self.layer("Conv{}DTranspose", filters, pool_size, strides=pool_size, name=name)(x)
        if upsampling == "unpool":
            if x.shape[-1] != indices.shape[-1]:
                x = self.layer("Conv{}D", indices.shape[-1], 1, name=f"{name}_match")(x)
            return layers.MaxUnpooling("channels_last", pool_size, dtype=self.dtype, name=name)(x, indices)
        return layers.UpSampling(upsampling, "channels_last", pool_size, dtype=self.dtype, name=name)(x)

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
