"""How well a segmentation agrees with the truth."""

from recalib_keras.evaluation.overlap import dice
from recalib_keras.evaluation.overlay import overlay
from recalib_keras.evaluation.volumetry import StructureVolume, structure_volumes

__all__ = ["StructureVolume", "dice", "overlay", "structure_volumes"]
