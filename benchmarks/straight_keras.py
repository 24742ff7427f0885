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


@contextlib.contextmanager
def straight():
    """Networks built inside use stock batch normalization, the straight PE, and no fused functions."""
    from recalib_keras.models import encoder_decoder

    with (
        mock.patch.object(acceleration, "_can_fuse", lambda: False),
        mock.patch.object(layers, "BatchNormalization", keras.layers.BatchNormalization),
        mock.patch.dict(encoder_decoder.RECALIBRATIONS, pe=StraightProjectExcite),
    ):
        yield
