import sys

import nibabel as nib
import numpy as np
import pytest

from recalib_keras.volumes import VolumeError, label_image, read, read_series

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


@pytest.fixture
def pixels(rng):
    """Stored values in the order of slices, rows, columns."""
    return rng.integers(-1000, 2000, (SLICES, ROWS, COLUMNS)).astype(np.int16)


@pytest.fixture
def series(tmp_path, pixels):
    """Return a function that writes a series, its file names in no order of the slices."""

    def make(skip=(), change=None, **tags):
        folder = tmp_path / "series"
        folder.mkdir()
        for index in range(SLICES):
            if index not in skip:
                own = change(index) if change else {}
                write(dicom_slice(index, **{"pixels": pixels[index], **tags, **own}), folder / f"IM{index * 5 % 7}")
        return folder

    return make


def refused(match, folder):
    with pytest.raises(VolumeError, match=match) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value) and "got" in str(caught.value)


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
    refused(rf"got 2 series: {SERIES} \(4 files\), 1\.2\.3 \(2 files\)", folder)


@pytest.mark.parametrize("skip", [(2,), (2, 3), (4,)])
def test_missing_slices(series, skip):
    gap = 2.5 * (len(skip) + 1)
    refused(rf"slices 2\.50 mm apart, got a gap of {gap:.2f} mm between IM\d and IM\d", series(skip=skip))


def test_duplicated_positions(series):
    folder = series(change=lambda index: {"position": [10, 20, 30 + 2.5 * max(index, 1)]})
    refused("1 duplicated positions", folder)


def test_all_at_one_position(series):
    refused("5 duplicated positions", series(position=[10, 20, 30]))


def test_another_shape(series):
    refused("slices of one shape", series(change=lambda index: {"pixels": np.ones((3, 3))} if index == 3 else {}))


@pytest.mark.parametrize(
    ("tag", "value"), [("ImageOrientationPatient", [0, 1, 0, 0, 0, -1]), ("PixelSpacing", [0.75, 0.6])]
)
def test_another_direction_or_spacing(series, tag, value):
    refused(f"slices of one {tag}", series(change=lambda index: {tag: value} if index == 3 else {}))


def test_multi_frame(series):
    refused("got an enhanced multi-frame file", series(NumberOfFrames=2))


def test_a_missing_tag(series):
    refused("got one without ImagePositionPatient", series(ImagePositionPatient=None))


def test_colour(series):
    refused("got a colour image", series(SamplesPerPixel=3))


def test_compressed_without_a_decoder(series, pixels):
    folder = series(skip=range(1, SLICES), SliceThickness=3)
    dataset = dicom_slice(1, pixels[1])
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51not really a picture"])
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    dataset["PixelData"].is_undefined_length = True
    write(dataset, folder / "packed")
    refused("JPEG 2000.* data that cannot be decoded; install a decoder", folder)


def test_truncated_pixels(series):
    folder = series()
    path = folder / "IM0"
    path.write_bytes(path.read_bytes()[:-20])
    refused("cannot be decoded; export it again|a damaged one", folder)


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
