"""Fully convolutional DenseNet."""

from __future__ import annotations

import keras

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.models.encoder_decoder import EncoderDecoder
from recalib_keras.models.parts import Parts


def apply_dense_convolutions(x: Tensor, filters: int, parts: Parts, name: str) -> Tensor:
    """Applies two densely connected convolutions, then a 1×1 convolution of all maps."""
    first = parts.convolve(x, filters, name, suffix="_1")
    x = parts.concatenate([x, first], f"{name}_concat_1")
    second = parts.convolve(x, filters, name, suffix="_2")
    x = parts.concatenate([x, second], f"{name}_concat_2")
    return parts.convolve(x, filters, name, kernel_size=1, suffix="_gather")


def apply_preactivated_convolutions(x: Tensor, filters: int, parts: Parts, name: str) -> Tensor:
    """Applies the same convolutions, each after its normalization and the block's one PReLU, as the authors' code does.

    The convolutions have biases, since no normalization follows them directly.
    """
    prelu = parts.shared_prelu(f"{name}_prelu")

    def convolve(x, suffix, kernel_size=None):
        x = prelu(parts.normalize(x, f"{name}_norm{suffix}"))
        return parts.convolution(filters, kernel_size, f"{name}_conv{suffix}", use_bias=True)(x)

    for number in (1, 2):
        x = parts.concatenate([x, convolve(x, f"_{number}")], f"{name}_concat_{number}")
    return convolve(x, "_gather", kernel_size=1)


@keras.saving.register_keras_serializable(package="recalib_keras")
class DenseNet(EncoderDecoder):
    """Fully convolutional DenseNet: densely connected convolutions, up-sampling by max-unpooling.

    Each block has two padded 5×5 convolutions (3×3×3 in 3-D), each of which sees the concatenation of all maps before
    it. A 1×1 convolution then reduces their concatenation to `filters` maps. Batch normalization and a ReLU follow each
    convolution. With `convention="authors"`, batch normalization and a PReLU, whose one slope serves the whole block,
    precede each convolution.

    Args: See `recalib_keras.models.EncoderDecoder`, also for shapes and errors.

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
    apply_authors_block = staticmethod(apply_preactivated_convolutions)
    planar_kernel_size = 5
    default_normalization = "batch"
    default_upsampling = "unpool"
