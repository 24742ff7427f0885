"""The networks as one would write them in Keras without this package's layers, to measure the fast paths against."""

import contextlib
from unittest import mock

import keras
from keras import ops

from recalib_keras import layers
from recalib_keras.layers import acceleration


class StraightProjectExcite(layers.ProjectExcite):
    """Project & Excite with the full-size sum of projections, as the formula reads."""

    def compress(self, inputs):
        """Returns the projections, broadcast to full size and added."""
        return sum(
            ops.broadcast_to(
                ops.mean(inputs, axis=[other for other in self.spatial_axes if other != axis], keepdims=True),
                ops.shape(inputs),
            )
            for axis in self.spatial_axes
        )

    def process(self, descriptor):
        """Returns the logits."""
        return self.expand(ops.relu(self.reduce(descriptor)))


class StraightPooling(keras.layers.Layer):
    """Stock max pooling, and for indices a mask of what equals the maximum of its window: on ties, all of it."""

    def __init__(self, data_format, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs):
        maxima = ops.max_pool(inputs, 2, data_format="channels_last")
        return maxima, ops.cast(inputs == _repeated(maxima), inputs.dtype)


class StraightUnpooling(keras.layers.Layer):
    """Repetition, times the mask."""

    def __init__(self, data_format, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs, mask):
        return _repeated(inputs) * mask


def _repeated(inputs):
    for axis in range(1, len(inputs.shape) - 1):
        inputs = ops.repeat(inputs, 2, axis=axis)
    return inputs


@contextlib.contextmanager
def straight():
    """Networks built inside use stock batch normalization and pooling, the straight PE, and no fused functions."""
    with (
        mock.patch.object(acceleration, "can_fuse", return_value=False),
        mock.patch.object(layers, "FoldedBatchNormalization", keras.layers.BatchNormalization),
        mock.patch.object(layers, "MaxPoolingWithIndices", StraightPooling),
        mock.patch.object(layers, "MaxUnpooling", StraightUnpooling),
        mock.patch.object(layers, "ProjectExcite", StraightProjectExcite),
    ):
        yield
