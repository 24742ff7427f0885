"""What makes examples, augmented or generated: matrices for lines of voxels, compiled functions, batches ahead."""

from recalib_keras.pipeline.ahead import Ahead
from recalib_keras.pipeline.compilation import compiled

__all__ = ["Ahead", "compiled"]
