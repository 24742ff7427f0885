"""Segment many scans into one folder: label maps, a table of volumes, run manifests, and pictures."""

from recalib_keras.inference.batch.batch import Batch, BatchReport, segment_all
from recalib_keras.inference.batch.outputs import Outputs
from recalib_keras.inference.batch.scan_task import ScanOutcome

__all__ = ["Batch", "BatchReport", "Outputs", "ScanOutcome", "segment_all"]
