import re
import shutil

import numpy as np
import pytest
from made_series import ROWS, SERIES, SLICES, dicom_slice, pydicom, refused, write

from recalib_keras.volumes import read


@pytest.mark.parametrize("odd", [0, 3, 5])
@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "ImageOrientationPatient"),
        ({"PixelSpacing": [0.75, 0.6]}, "PixelSpacing"),
        ({"pixels": np.ones((3, 3))}, "shape"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "PhotometricInterpretation"),
    ],
)
def test_the_odd_slice_is_named_wherever_it_lies(series, odd, tags, what):
    folder = series(change=lambda index: tags if index == odd else {})
    error = refused(f"slices of one {what}", folder)
    assert "as in 5 of 6" in error.expected
    assert re.findall(r"IM\d", error.received) == [f"IM{odd * 5 % 7}"]
    assert error.remedy.startswith("move the slices that do not belong")


def test_rounding_of_spacing_and_direction_is_no_difference(series, pixels):
    folder = series(change=lambda index: {"PixelSpacing": [0.75 + 1e-4 * index, 0.5]} if index % 2 else {})
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


@pytest.mark.parametrize("odd", [0, 5])
def test_a_slice_of_another_series_is_named(series, odd):
    folder = series(change=lambda index: {"SeriesInstanceUID": "1.2.3"} if index == odd else {})
    refused(rf"got 2 series: {SERIES} \(5 files\), 1\.2\.3 \(1 files: IM{odd * 5 % 7}\)", folder)


def test_slices_exported_twice_count_once(series, pixels):
    folder = series()
    for path in sorted(folder.iterdir())[:4]:
        shutil.copy(path, folder / f"{path.name} (1)")
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


def test_a_copy_in_another_transfer_syntax_counts_once(series, pixels):
    folder = series()
    dataset = pydicom.dcmread(folder / "IM0")
    dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    dataset.save_as(folder / "packed")
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


def test_other_pixels_of_one_instance_at_one_place_are_no_copy(series, pixels):
    folder = series()
    write(dicom_slice(0, pixels[3]), folder / "other")
    refused("expected one slice at each position, got 1 duplicated positions, the first in IM0, other", folder)


def test_one_instance_uid_in_every_file(series, pixels):
    """Some programs that make files anonymous write it."""
    folder = series(SOPInstanceUID="1.2.3")
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


def test_without_instance_uids_nothing_is_a_copy(series, pixels):
    folder = series()
    for path in list(folder.iterdir()):
        dataset = pydicom.dcmread(path)
        del dataset.SOPInstanceUID, dataset.file_meta.MediaStorageSOPInstanceUID
        dataset.save_as(path)
    assert read(folder).array.shape == (4, ROWS, SLICES)
    shutil.copy(folder / "IM0", folder / "copy")
    refused("1 duplicated positions, the first in IM0, copy", folder)
