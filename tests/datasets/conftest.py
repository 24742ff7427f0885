"""Small scans in the formats of the sets."""

import nibabel as nib
import numpy as np
import pytest

# Voxels of 1, 1.5 and 2 mm, the first axis to the left.
AFFINE = np.array([[-1.0, 0, 0, 40], [0, 1.5, 0, -30], [0, 0, 2, 12], [0, 0, 0, 1]])


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def write_nifti():
    """Returns a function that writes an array as NIfTI, its folders included, and returns the path."""

    def write(path, array, affine=AFFINE):
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, affine), path)
        return path

    return write


@pytest.fixture
def write_pair(write_nifti, rng):
    """Returns a function that writes a scan and a label map (numbers 0 and `label`), and returns both arrays."""

    def write(image_path, labels_path, label=1, shape=(5, 4, 3), affine=AFFINE, label_affine=AFFINE):
        image = rng.uniform(0, 100, shape).astype(np.float32)
        labels = (image > 50).astype(np.uint8) * np.uint8(label)
        write_nifti(image_path, image, affine)
        write_nifti(labels_path, labels, label_affine)
        return image, labels

    return write


@pytest.fixture
def msd_folder(tmp_path, write_pair):
    """Returns a function that makes a folder of readable scans in the Decathlon's layout."""

    def make(*names, folder=None, **how):
        folder = folder or tmp_path / "task"
        for name in names:
            write_pair(folder / "imagesTr" / f"{name}.nii.gz", folder / "labelsTr" / f"{name}.nii.gz", **how)
        return folder

    return make


@pytest.fixture
def empty_files(tmp_path):
    """Returns a function that makes a folder with empty files, by their paths."""

    def make(*paths):
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        return tmp_path

    return make


@pytest.fixture
def write_series():
    """Returns a function that writes a DICOM series.

    Args of the function: folder, pixels (slices, rows, columns) in the order of file names, their places along z in mm,
    and the files' names.
    """
    pydicom = pytest.importorskip("pydicom")

    def write(folder, pixels, places, names):
        folder.mkdir(parents=True, exist_ok=True)
        for number, (slice_pixels, place, name) in enumerate(zip(pixels, places, names), start=1):
            dataset = pydicom.Dataset()
            dataset.file_meta = pydicom.dataset.FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.CTImageStorage
            dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{number}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.1"
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            dataset.ImagePositionPatient = [-10, 20, float(place)]
            dataset.PixelSpacing = [0.75, 0.5]
            dataset.Rows, dataset.Columns = slice_pixels.shape
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
            dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
            dataset.PixelData = slice_pixels.astype("<u2").tobytes()
            dataset.save_as(folder / name, enforce_file_format=True)
        return folder

    return write


@pytest.fixture
def write_png():
    """Returns a function that writes an array (rows, columns) as PNG; a boolean one black and white."""
    image = pytest.importorskip("PIL.Image")

    def write(path, array):
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(array).save(path)
        return path

    return write
