import hashlib
import os
import sys

import nibabel as nib
import numpy as np
import pytest
from made_series import COLUMNS, ROWS, SERIES, SLICES, dicom_slice, pydicom, refused, write

from recalib_keras.volumes import ScanWarning, VolumeError, label_image, read, read_labels, read_series


def test_slices_are_sorted_and_placed(series, pixels):
    volume = read(series())
    assert np.array_equal(volume.array, pixels.transpose(2, 1, 0)) and volume.array.dtype == np.float32
    # DICOM: 10 mm left, 20 mm back; RAS+ counts to the right and to the front.
    expected = [[-0.5, 0, 0, -10], [0, -0.75, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.grid.affine, expected)
    assert volume.grid.orientation == "LPS"
    assert volume.source.name == "series"


@pytest.mark.parametrize(
    ("orientation", "axes"),
    [([0, 1, 0, 0, 0, -1], "PIR"), ([1, 0, 0, 0, 0, -1], "LIP"), ([0.8, 0.6, 0, -0.6, 0.8, 0], "LPS")],
)
def test_every_voxel_stands_where_dicom_puts_it(series, pixels, orientation, axes):
    volume = read(series(orientation=orientation))
    # DICOM PS3.3 C.7.6.2.1.1: the place of a pixel, from its row and column.
    row, column, index = 3, 2, 4
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    start = np.array([10.0, 20, 30]) + index * 2.5 * np.cross(along_row, along_column)
    lps = start + along_row * 0.5 * column + along_column * 0.75 * row
    voxel = np.linalg.solve(volume.grid.affine, [-lps[0], -lps[1], lps[2], 1])[:3]
    assert volume.array[tuple(np.rint(voxel).astype(int))] == pixels[index, row, column]
    np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-4)
    assert volume.grid.orientation == axes


def test_slope_and_intercept_of_each_slice(series, pixels):
    volume = read(series(change=lambda index: {"RescaleSlope": index + 1, "RescaleIntercept": -1024}))
    for index in range(SLICES):
        np.testing.assert_allclose(volume.array[:, :, index], pixels[index].T * (index + 1.0) - 1024)


def test_empty_rescale_tags_mean_none(series, pixels):
    volume = read(series(RescaleSlope=None, RescaleIntercept=None))
    assert np.array_equal(volume.array, pixels.transpose(2, 1, 0))


def test_a_tilted_gantry_shears_the_affine(series):
    step = np.array([0, 0.5, 2.5])
    volume = read(series(change=lambda index: {"position": np.array([10.0, 20, 30]) + index * step}))
    np.testing.assert_allclose(volume.grid.affine[:3, 2], [0, -0.5, 2.5])
    labels = label_image(np.ones(volume.grid.shape, int), volume)
    # A qform cannot hold shear: a wrong one would be worse than none.
    assert (labels.header["qform_code"], labels.header["sform_code"]) == (0, 1)
    np.testing.assert_allclose(labels.get_sform(), volume.grid.affine)


def test_other_files_are_passed_over(series, pixels):
    folder = series()
    (folder / "README.txt").write_text("from the archive")
    (folder / "notes").write_bytes(b"")
    (folder / "deeper").mkdir()
    report = dicom_slice(99, pixels[0], SeriesInstanceUID="1.2.3")
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(report, tag)
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID = pydicom.uid.BasicTextSRStorage
    write(report, folder / "DICOMDIR")
    assert np.array_equal(read(folder).array, pixels.transpose(2, 1, 0))


def test_the_header_carries_the_place(series):
    volume = read(series())
    image = label_image((volume.array > 0).astype(int), volume)
    assert (image.header["qform_code"], image.header["sform_code"]) == (1, 1)
    np.testing.assert_allclose(image.header.get_best_affine(), volume.grid.affine)
    np.testing.assert_allclose(image.get_qform(), volume.grid.affine, atol=1e-5)


def test_a_single_slice_needs_a_thickness(series):
    folder = series(skip=range(1, SLICES))
    refused("one with SliceThickness", folder)


def test_a_single_slice_with_a_thickness(series):
    volume = read(series(skip=range(1, SLICES), SliceThickness=3))
    assert volume.array.shape == (COLUMNS, ROWS, 1)
    assert volume.grid.spacing == pytest.approx((0.5, 0.75, 3))


def test_no_dicom_in_the_folder(tmp_path):
    refused("no DICOM images in it", tmp_path)
    (tmp_path / "scan.nii").write_bytes(b"n" * 500)
    refused("no DICOM images in it but 1 of another format", tmp_path)


def test_two_series(series):
    folder = series(change=lambda index: {"SeriesInstanceUID": "1.2.3"} if index < 2 else {})
    refused(rf"got 2 series: {SERIES} \(4 files\), 1\.2\.3 \(2 files: IM0, IM5\)", folder)


@pytest.mark.parametrize("skip", [(2,), (2, 3), (4,)])
def test_missing_slices(series, skip):
    gap = 2.5 * (len(skip) + 1)
    refused(rf"slices 2\.50 mm apart, got a gap of {gap:.2f} mm between IM\d and IM\d", series(skip=skip))


def test_duplicated_positions(series):
    folder = series(change=lambda index: {"position": [10, 20, 30 + 2.5 * max(index, 1)]})
    refused("1 duplicated positions", folder)


def test_all_at_one_position(series):
    refused("got all 6 slices at one position, such as IM0 and IM", series(position=[10, 20, 30]))


def test_frames_without_their_places(series):
    refused("got 2 frames without their places", series(NumberOfFrames=2))


def test_a_missing_tag(series):
    refused("got one without ImagePositionPatient", series(ImagePositionPatient=None))


def test_colour(series):
    refused("got a colour image", series(SamplesPerPixel=3))


@pytest.mark.parametrize("size", [140, 200, 300, 500])
def test_truncated_header(series, size):
    folder = series()
    path = folder / "IM0"  # the outermost slice: without it there is no gap
    path.write_bytes(path.read_bytes()[:size])
    refused("IM0: .*(damaged|without|cannot be decoded)", folder)


def test_a_volume_index(series):
    folder = series()
    assert read(folder, volume=0).array.ndim == 3
    with pytest.raises(VolumeError, match="got volume 1"):
        read(folder, volume=1)


def test_a_constant_series(series):
    refused("a constant image", series(pixels=np.zeros((ROWS, COLUMNS))))


def test_without_pydicom_the_error_names_the_command(series, monkeypatch):
    folder = series()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[dicom\]"'):
        read_series(folder)


def test_a_real_ct(data_root):
    volume = read(data_root / "ct_example" / "dicom")
    assert volume.array.shape == (512, 512, 20)
    assert volume.grid.spacing == pytest.approx((0.9765625, 0.9765625, 2.0))
    assert volume.grid.orientation == "LPS"
    # Air round the patient and soft tissue in them, in Hounsfield units.
    assert volume.array[0, 0].mean() == pytest.approx(-1000, abs=60)
    assert np.percentile(volume.array, 75) == pytest.approx(0, abs=150)


def test_a_real_ct_agrees_with_its_nifti_geometry(data_root):
    volume = read(data_root / "ct_example" / "dicom").conform("RAS")
    assert isinstance(volume.header, nib.Nifti1Header)
    assert np.linalg.det(volume.grid.affine[:3, :3]) > 0


def test_a_real_ct_is_read_as_it_always_was(data_root):
    volume = read(data_root / "ct_example" / "dicom")
    stored = hashlib.sha256(volume.array.tobytes(order="F")).hexdigest()
    assert stored == "44352f6ea210f6924bc4a4e1bdd315093aa20dfc9abcc840ffed009fb57b6ac4"
    assert volume.grid.affine.tolist() == [
        [-0.9765625, 0, 0, 249.51171875],
        [0, -0.9765625, 0, 437.51171875],
        [0, 0, 2, -804.5],
        [0, 0, 0, 1],
    ]


def test_a_single_slice_is_not_given_by_its_file(series):
    folder = series()
    path = (folder / "IM0").rename(folder / "IM0.dcm")
    error = refused("expected a folder of DICOM slices, or one multi-frame file, got one slice", path)
    assert error.remedy == f"give the folder that holds all slices: {folder}"
    refused("got one slice", folder / "IM5")  # no ending, but the mark of DICOM


def test_a_label_map_is_no_dicom_file(series):
    folder = series()
    (folder / "IM0").rename(folder / "IM0.dcm")
    with pytest.raises(VolumeError, match=r"expected a label map in one file .*, got a DICOM file"):
        read_labels(folder / "IM0.dcm")


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    refused("expected a regular file, got a pipe", tmp_path / "pipe.dcm")
    with pytest.raises(VolumeError, match="got no regular file"):
        read_series(tmp_path / "pipe.dcm")
    with pytest.raises(VolumeError, match="got no such file or folder"):
        read_series(tmp_path / "nothing")


def test_an_impossible_size_is_refused_before_memory_is_allocated(series):
    folder = series(Rows=6000, Columns=8000)
    refused(r"IM\d: .*Rows, Columns and BitsAllocated make 96,000,000 bytes, the file has [1-9]\d\d\)", folder)


@pytest.mark.parametrize("spacing", [[1e-6, 1e-6], [5000, 5000], [0, 1], [-1, 1]])
def test_impossible_pixel_spacings(series, spacing):
    refused(r"IM0: PixelSpacing: expected 2 numbers from 0\.01 to 30, got \[", series(PixelSpacing=spacing))


def test_impossible_distances_of_slices(series):
    refused("expected voxels of 0.01 to 30 mm", series(change=lambda index: {"position": [10, 20, 100.0 * index]}))


def test_the_inverted_grey_scale_of_a_ct_is_reported(series):
    folder = series(PhotometricInterpretation="MONOCHROME1", Modality="CT")
    with pytest.warns(ScanWarning, match="the grey scale was inverted, so the values are not those of the modality"):
        read(folder)
