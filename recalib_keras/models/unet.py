"""U-Net."""

from __future__ import annotations

import keras

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.models.encoder_decoder import EncoderDecoder
from recalib_keras.models.parts import Parts


def apply_double_convolution(x: Tensor, filters: int, parts: Parts, name: str) -> Tensor:
    """Applies two convolutions, each with its normalization and ReLU."""
    x = parts.convolve(x, filters, name, suffix="_1")
    return parts.convolve(x, filters, name, suffix="_2")


@keras.saving.register_keras_serializable(package="recalib_keras")
class UNet(EncoderDecoder):
    """U-Net: two convolutions in each block, up-sampling by transposed convolutions.

    Each block has two padded 3×3 convolutions, each followed by a ReLU; there is no normalization by default.

    Args: See `recalib_keras.models.EncoderDecoder`, also for shapes and errors.

    Example:
    >>> from recalib_keras import models
    >>> model = models.UNet((32, 32, 32, 1), num_classes=3, filters=4, levels=2, recalibration="scse")
    >>> model.output_shape
    (None, 32, 32, 32, 3)

    Reference:
        Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, in the form
        of Roy et al., IEEE TMI 2019.
    """

    apply_block = staticmethod(apply_double_convolution)
