"""A small CT series with patient, study and frame of reference, as a segmentation must refer to them."""

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

ROWS, COLUMNS, SLICES = 7, 6, 5
UIDS = {
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.2",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.3",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.4",
}


def header_of(index, **tags):
    """Returns a whole CT slice, 2.5 mm from the next."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.3.{index + 1}"
    patient = {"PatientID": "p1", "PatientName": "A^B", "PatientBirthDate": "19700101", "PatientSex": "F"}
    study = {"StudyDate": "20200101", "StudyTime": "120000", "StudyID": "1", "AccessionNumber": "2"}
    series = {"Modality": "CT", "SeriesNumber": 4, "InstanceNumber": index + 1, "ReferringPhysicianName": ""}
    pixel = {"Rows": ROWS, "Columns": COLUMNS, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
    bits = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1}
    for tag, value in {**UIDS, **patient, **study, **series, **pixel, **bits}.items():
        setattr(dataset, tag, value)
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.75, 0.5]
    dataset.ImagePositionPatient, dataset.SliceThickness = [10, 20, 30 + 2.5 * index], 2.5
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    values = np.random.default_rng(index).integers(-100, 100, (ROWS, COLUMNS))
    dataset.PixelData = values.astype("<i2").tobytes()
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.3.{index + 1}"
    return dataset


def write_series(folder):
    """Writes the slices of a series in the wrong order of names; returns its folder."""
    folder.mkdir(parents=True)
    for index in range(SLICES):
        header_of(index).save_as(folder / f"{(index * 3) % SLICES}.dcm", enforce_file_format=True)
    return folder
