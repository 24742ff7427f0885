"""Scans as arrays in space: read, orient, resample and normalise them, and write labels back on their own grid.

Needs numpy, scipy and nibabel; DICOM needs pydicom.
"""

from recalib_keras.core.errors import ScanWarning, VolumeError
from recalib_keras.volumes.channels import Channels, read_channels
from recalib_keras.volumes.dicom import read_series
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.normalization import METHODS, normalize, normalizer
from recalib_keras.volumes.reading import read, read_labels
from recalib_keras.volumes.resampling import resample
from recalib_keras.volumes.volume import Volume
from recalib_keras.volumes.writing import label_image, save, smallest_integer

__all__ = [
    "METHODS",
    "Channels",
    "Grid",
    "ScanWarning",
    "Volume",
    "VolumeError",
    "label_image",
    "normalize",
    "normalizer",
    "read",
    "read_channels",
    "read_labels",
    "read_series",
    "resample",
    "save",
    "smallest_integer",
]
