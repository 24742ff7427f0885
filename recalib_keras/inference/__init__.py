"""Segment scans with networks: windows, blending, engines, labels on the scan's own grid, and how sure they are."""

from recalib_keras.inference.engines import EngineError, Undecided, open_engine
from recalib_keras.inference.ensemble import Ensemble
from recalib_keras.inference.quality_control import Traits, UnfamiliarScanWarning, traits, typical_of, unfamiliar
from recalib_keras.inference.segmenter import Segmenter
from recalib_keras.inference.segmenting import load_segmenter, segment
from recalib_keras.inference.sliding_window.predict import View, average_labels, predict_labels
from recalib_keras.inference.uncertainty import Confidence

__all__ = [
    "Confidence",
    "EngineError",
    "Ensemble",
    "Segmenter",
    "Traits",
    "Undecided",
    "UnfamiliarScanWarning",
    "View",
    "average_labels",
    "load_segmenter",
    "open_engine",
    "predict_labels",
    "segment",
    "traits",
    "typical_of",
    "unfamiliar",
]
