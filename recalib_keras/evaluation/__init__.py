"""How well a segmentation agrees with the truth."""

from recalib_keras.evaluation.overlap import dice

__all__ = ["dice"]
