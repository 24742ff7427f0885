"""Batches, prefetched and compiled: what `training` and `synthesis` give `fit`."""

from recalib_keras.pipeline.batches import Batches
from recalib_keras.pipeline.compilation import compiled
from recalib_keras.pipeline.memory import keep_memory
from recalib_keras.pipeline.prefetch import Prefetch

__all__ = ["Batches", "Prefetch", "compiled", "keep_memory"]
