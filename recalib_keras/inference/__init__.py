"""Segment scans with a network: windows, blending, and labels on the scan's own grid."""

from recalib_keras.inference.segmenter import Segmenter, segment
from recalib_keras.inference.windows import predict_labels

__all__ = ["Segmenter", "predict_labels", "segment"]
