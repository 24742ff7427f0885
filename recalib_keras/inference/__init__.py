"""Segment scans with networks: a `Segmenter` turns a scan into a `Segmentation`, `segment_all` a folder of them."""

from recalib_keras.inference.batch import Batch, BatchReport, Outputs, ScanOutcome, segment_all
from recalib_keras.inference.engines import EngineError, Undecided, open_engine
from recalib_keras.inference.quality_control import (
    SegmentationStatistics,
    UnfamiliarScanWarning,
    quality_warnings,
    reference_range_of,
    segmentation_statistics,
)
from recalib_keras.inference.segmentation import Segmentation
from recalib_keras.inference.segmenter import Ensemble, Segmenter, open_segmenter, segment
from recalib_keras.inference.sliding_window.predict import SlidingWindow, View
from recalib_keras.inference.uncertainty import Uncertainty

__all__ = [
    "Batch",
    "BatchReport",
    "EngineError",
    "Ensemble",
    "Outputs",
    "ScanOutcome",
    "Segmentation",
    "SegmentationStatistics",
    "Segmenter",
    "SlidingWindow",
    "Uncertainty",
    "Undecided",
    "UnfamiliarScanWarning",
    "View",
    "open_engine",
    "open_segmenter",
    "quality_warnings",
    "reference_range_of",
    "segment",
    "segment_all",
    "segmentation_statistics",
]
