"""Small DICOM series and multi-frame files, made for tests."""

import numpy as np
import pytest

from recalib_keras.volumes import VolumeError, read

pydicom = pytest.importorskip("pydicom")

ROWS, COLUMNS, SLICES = 5, 4, 6
STRAIGHT = [1, 0, 0, 0, 1, 0]
SERIES = "1.2.826.0.1.3680043.8.498.1"


def dicom_slice(index, pixels, orientation=STRAIGHT, position=None, **tags):
    """Make one CT slice, 2.5 mm from the next, of pixels 0.5 mm wide and 0.75 mm high."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"{SERIES}.{index + 1}"
    dataset.SeriesInstanceUID = SERIES
    dataset.ImageOrientationPatient = orientation
    normal = np.cross(orientation[:3], orientation[3:])
    place = np.array([10.0, 20, 30]) + index * 2.5 * normal if position is None else position
    dataset.ImagePositionPatient = [round(float(value), 6) for value in place]
    dataset.PixelSpacing = [0.75, 0.5]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelData = pixels.astype("<i2").tobytes()
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    return dataset


def write(dataset, path):
    if pydicom.__version__ < "3":
        dataset.is_little_endian, dataset.is_implicit_VR = True, False
        dataset.save_as(path, write_like_original=False)
    else:
        dataset.save_as(path, enforce_file_format=True)


def item(**tags):
    dataset = pydicom.Dataset()
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    return dataset


def frame_groups(index, content=None, position=None, **groups):
    """Make the functional groups of one frame of a multi-frame file, its place that of `dicom_slice`."""
    position = [10, 20, 30 + 2.5 * index] if position is None else position
    return item(
        FrameContentSequence=[item(**(content or {}))],
        PlanePositionSequence=[item(ImagePositionPatient=position)],
        **groups,
    )


def multi_frame(pixels, frames, shared=None, **tags):
    """Make an enhanced MR file of pixels `(frames, rows, columns)` with the geometry of `dicom_slice`."""
    dataset = dicom_slice(0, pixels[0])
    for tag in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
        delattr(dataset, tag)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.EnhancedMRImageStorage
    groups = {
        "PixelMeasuresSequence": [item(PixelSpacing=[0.75, 0.5], SliceThickness=2.5)],
        "PlaneOrientationSequence": [item(ImageOrientationPatient=STRAIGHT)],
        "PixelValueTransformationSequence": [item(RescaleSlope=2, RescaleIntercept=-5, RescaleType="US")],
    }
    dataset.SharedFunctionalGroupsSequence = [item(**(groups | (shared or {})))]
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames, dataset.PixelData = len(pixels), pixels.astype("<i2").tobytes()
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    return dataset


def refused(match, path, volume=None):
    """Check that a scan is refused in one line of our grammar, and return the error."""
    with pytest.raises(VolumeError, match=match) as caught:
        read(path, volume)
    error = caught.value
    assert "\n" not in str(error) and str(error).startswith(str(path))
    assert None not in (error.file, error.expected, error.received)
    return error
