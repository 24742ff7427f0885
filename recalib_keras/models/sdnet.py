"""SD-Net (SkipDeconv-Net)."""

from __future__ import annotations

import keras

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.models.encoder_decoder import EncoderDecoder
from recalib_keras.models.parts import Parts


def apply_single_convolution(x: Tensor, filters: int, parts: Parts, name: str) -> Tensor:
    """Applies one convolution with its normalization and ReLU."""
    return parts.convolve(x, filters, name)


def apply_convolution_before_prelu(x: Tensor, filters: int, parts: Parts, name: str) -> Tensor:
    """Applies one convolution, a PReLU of one slope, and the normalization, in the order of the authors' code."""
    x = parts.convolution(filters, None, f"{name}_conv", use_bias=True)(x)
    return parts.normalize(parts.shared_prelu(f"{name}_prelu")(x), f"{name}_norm")


@keras.saving.register_keras_serializable(package="recalib_keras")
class SDNet(EncoderDecoder):
    """SkipDeconv-Net: one large convolution in each block, up-sampling by max-unpooling.

    Each block has one padded 7×7 convolution (3×3×3 in 3-D), batch normalization and a ReLU; with
    `convention="authors"` a PReLU of one slope, then batch normalization.

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
    apply_authors_block = staticmethod(apply_convolution_before_prelu)
    planar_kernel_size = 7
    default_normalization = "batch"
    default_upsampling = "unpool"
