"""Segment scans with networks: windows, blending, engines, and labels on the scan's own grid."""

from recalib_keras.inference.engines import EngineError, Undecided, needs_keras, open_engine
from recalib_keras.inference.ensemble import Ensemble
from recalib_keras.inference.segmenter import Segmenter
from recalib_keras.inference.segmenting import load_segmenter, segment
from recalib_keras.inference.windows import View, average_labels, predict_labels

__all__ = [
    "EngineError",
    "Ensemble",
    "Segmenter",
    "Undecided",
    "View",
    "average_labels",
    "load_segmenter",
    "needs_keras",
    "open_engine",
    "predict_labels",
    "segment",
]
