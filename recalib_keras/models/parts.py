"""The parts that networks are assembled from: each applies named layers to a symbolic tensor."""

import math
from dataclasses import dataclass

import keras

from recalib_keras import layers

NORMALIZATIONS = ("none", "batch", "group", "instance")
UPSAMPLINGS = ("transpose", "unpool", "nearest", "linear")
# Wu & He, "Group Normalization", ECCV 2018, use 32 groups for hundreds of maps; here there are tens.
LARGEST_NUMBER_OF_GROUPS = 8
# Keras's 0.99 remembers hundreds of steps, longer than a short training on a few scans takes.
BATCH_NORMALIZATION_MOMENTUM = 0.9


@dataclass(frozen=True)
class Parts:
    """Settings shared by all layers of a network, and the layers made with them.

    Args:
        spatial_rank: 2 or 3.
        kernel_size: integer, of the blocks' convolutions.
        normalization: `"none"`, `"batch"`, `"group"` or `"instance"`.
        dropout: rate, from 0 to below 1.
        dtype: dtype policy of every layer.
    """

    spatial_rank: int
    kernel_size: int
    normalization: str
    dropout: float
    dtype: keras.DTypePolicy

    def convolve(self, x, filters, name, kernel_size=None, suffix=""):
        """Applies a padded convolution, the normalization and a ReLU."""
        x = self.layer(
            "Conv{}D",
            filters,
            kernel_size or self.kernel_size,
            padding="same",
            use_bias=self.normalization == "none",  # a normalization subtracts any bias again
            kernel_initializer="he_normal",
            name=f"{name}_conv{suffix}",
        )(x)
        x = self.normalize(x, f"{name}_norm{suffix}")
        return keras.layers.ReLU(dtype=self.dtype, name=f"{name}_relu{suffix}")(x)

    def normalize(self, x, name):
        """Applies the normalization, if there is one."""
        if self.normalization == "none":
            return x
        if self.normalization == "batch":
            layer = layers.BatchNormalization(momentum=BATCH_NORMALIZATION_MOMENTUM, dtype=self.dtype, name=name)
        elif self.normalization == "instance":
            layer = layers.InstanceNormalization(dtype=self.dtype, name=name)
        else:
            groups = math.gcd(x.shape[-1], LARGEST_NUMBER_OF_GROUPS)
            layer = keras.layers.GroupNormalization(groups, dtype=self.dtype, name=name)
        return layer(x)

    def drop(self, x, name):
        """Applies dropout, if there is any."""
        return keras.layers.Dropout(self.dropout, dtype=self.dtype, name=name)(x) if self.dropout else x

    def concatenate(self, tensors, name):
        """Joins tensors along their channels."""
        return keras.layers.Concatenate(dtype=self.dtype, name=name)(tensors)

    def pool(self, x, name, with_indices):
        """Halves the spatial axes by max pooling; returns the maxima and their indices, or None in their place."""
        if with_indices:
            return layers.MaxPoolingWithIndices(data_format="channels_last", dtype=self.dtype, name=name)(x)
        return self.layer("MaxPooling{}D", 2, name=name)(x), None

    def upsample(self, x, indices, filters, upsampling, name):
        """Doubles the spatial axes, into `filters` maps where the way of up-sampling sets their number."""
        if upsampling == "transpose":
            return self.layer("Conv{}DTranspose", filters, 2, strides=2, name=name)(x)
        if upsampling == "unpool":
            if x.shape[-1] != indices.shape[-1]:
                x = self.layer("Conv{}D", indices.shape[-1], 1, name=f"{name}_match")(x)
            return layers.MaxUnpooling(data_format="channels_last", dtype=self.dtype, name=name)(x, indices)
        return layers.UpSampling(upsampling, data_format="channels_last", dtype=self.dtype, name=name)(x)

    def to_blocks(self, x, side, name):
        """Makes blocks of voxels, `side` along each axis, the channels of one voxel; a side of 1 changes nothing."""
        if side == 1:
            return x
        return layers.SpaceToDepth(side, data_format="channels_last", dtype=self.dtype, name=name)(x)

    def from_blocks(self, x, side, name):
        """Makes each voxel's channels blocks of voxels again."""
        if side == 1:
            return x
        return layers.DepthToSpace(side, data_format="channels_last", dtype=self.dtype, name=name)(x)

    def layer(self, class_name, *args, **kwargs):
        """Returns a Keras layer of the network's rank, such as `Conv3D` for `"Conv{}D"`."""
        layer_class = getattr(keras.layers, class_name.format(self.spatial_rank))
        return layer_class(*args, data_format="channels_last", dtype=self.dtype, **kwargs)
