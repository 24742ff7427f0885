"""The networks from Keras's own layers, without the fast layers of this package, for comparison."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import keras
from keras import ops

from recalib_keras import layers
from recalib_keras.layers import acceleration


class StraightProjectExcite(layers.ProjectExcite):
    """Project & Excite with the sum of projections at full size, as in the formula."""

    def compress(self, inputs):
        """Returns the sum of the projections, each broadcast to full size."""
        return sum(
            ops.broadcast_to(
                ops.mean(inputs, axis=[other for other in self.spatial_axes if other != axis], keepdims=True),
                ops.shape(inputs),
            )
            for axis in self.spatial_axes
        )

    def process(self, descriptor):
        """Returns the logits of the gates."""
        return self.expand(ops.relu(self.reduce(descriptor)))


class StraightPooling(keras.layers.Layer):
    """Keras's max pooling; for the indices, a mask of all voxels that equal the maximum of their window."""

    def __init__(self, data_format, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs):
        maxima = ops.max_pool(inputs, 2, data_format="channels_last")
        return maxima, ops.cast(inputs == _repeated(maxima), inputs.dtype)


class StraightUnpooling(keras.layers.Layer):
    """Repeats each voxel and multiplies by the mask."""

    def __init__(self, data_format, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs, mask):
        return _repeated(inputs) * mask


def _repeated(inputs):
    for axis in range(1, len(inputs.shape) - 1):
        inputs = ops.repeat(inputs, 2, axis=axis)
    return inputs


@contextlib.contextmanager
def straight() -> Iterator[None]:
    """Networks built inside use Keras's batch normalization and pooling, the PE above, and no fused functions."""
    with (
        mock.patch.object(acceleration, "can_fuse", return_value=False),
        mock.patch.object(layers, "FoldedBatchNormalization", keras.layers.BatchNormalization),
        mock.patch.object(layers, "MaxPoolingWithIndices", StraightPooling),
        mock.patch.object(layers, "MaxUnpooling", StraightUnpooling),
        mock.patch.object(layers, "ProjectExcite", StraightProjectExcite),
    ):
        yield
