"""Scans with their label maps, as training and evaluation want them."""

from recalib_keras.datasets.folder import LabelledScan, find_scans, split

__all__ = ["LabelledScan", "find_scans", "split"]
