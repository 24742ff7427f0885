"""SD-Net (SkipDeconv-Net)."""

from __future__ import annotations

import keras

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.models.encoder_decoder import EncoderDecoder
from recalib_keras.models.parts import Parts


def apply_single_convolution(x: Tensor, filters: int, parts: Parts, name: str) -> Tensor:
    """Applies one convolution with its normalization and ReLU."""
    return parts.convolve(x, filters, name)


@keras.saving.register_keras_serializable(package="recalib_keras")
class SDNet(EncoderDecoder):
    """SkipDeconv-Net: one large convolution in each block, up-sampling by max-unpooling.

    Each block has one padded 7×7 convolution (3×3×3 in 3-D), batch normalization and a ReLU.

    Args: See `recalib_keras.models.EncoderDecoder`, also for shapes and errors.

    Example:
    >>> from recalib_keras import models
    >>> model = models.SDNet((32, 32, 32, 1), num_classes=3, filters=4, levels=2, recalibration="cse")
    >>> model.output_shape
    (None, 32, 32, 32, 3)

    Reference:
        Roy et al., "Error Corrective Boosting for Learning Fully Convolutional Networks with Limited Data",
        MICCAI 2017.
    """

    apply_block = staticmethod(apply_single_convolution)
    planar_kernel_size = 7
    default_normalization = "batch"
    default_upsampling = "unpool"
