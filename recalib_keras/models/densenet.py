"""Fully convolutional DenseNet."""

import keras

from recalib_keras.models.encoder_decoder import EncoderDecoder


def apply_dense_convolutions(x, filters, parts, name):
    """Applies two densely connected convolutions and the 1×1 convolution that gathers them."""
    first = parts.convolve(x, filters, name, suffix="_1")
    x = parts.concatenate([x, first], f"{name}_concat_1")
    second = parts.convolve(x, filters, name, suffix="_2")
    x = parts.concatenate([x, second], f"{name}_concat_2")
    return parts.convolve(x, filters, name, kernel_size=1, suffix="_gather")


@keras.saving.register_keras_serializable(package="recalib_keras")
class DenseNet(EncoderDecoder):
    """Fully convolutional DenseNet: densely connected convolutions, max-unpooling to up-sample.

    Each block has two padded 5×5 convolutions (3×3×3 in 3-D), each of which sees the concatenation of all maps before
    it, and ends with a 1×1 convolution that brings their concatenation to `filters` maps. Batch normalization and a
    ReLU follow each convolution. Arguments, shapes and errors are those of
    `recalib_keras.models.EncoderDecoder`.

    Example:
    >>> from recalib_keras import models
    >>> model = models.DenseNet((32, 32, 32, 1), num_classes=3, filters=4, levels=2, recalibration="pe")
    >>> model.output_shape
    (None, 32, 32, 32, 3)

    Reference:
        Jégou et al., "The One Hundred Layers Tiramisu", CVPRW 2017, in the form of Roy et al., "QuickNAT",
        NeuroImage 2019, and IEEE TMI 2019.
    """

    apply_block = staticmethod(apply_dense_convolutions)
    planar_kernel_size = 5
    default_normalization = "batch"
    default_upsampling = "unpool"
