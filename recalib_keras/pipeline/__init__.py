"""What training stands on: matrices for lines of voxels, compiled functions, batches ahead, memory that is kept."""

from recalib_keras.pipeline.batches import Batches
from recalib_keras.pipeline.compilation import compiled
from recalib_keras.pipeline.memory import keep_memory
from recalib_keras.pipeline.prefetch import Ahead

__all__ = ["Ahead", "Batches", "compiled", "keep_memory"]
