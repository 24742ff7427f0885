"""Reading of DICOM: a folder of slices, or enhanced multi-frame files."""

from recalib_keras.volumes.dicom.reading import read_series, series_frames, volume_frames

__all__ = ["read_series", "series_frames", "volume_frames"]
