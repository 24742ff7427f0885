import tracemalloc
import warnings
from unittest import mock

import nibabel as nib
import numpy as np
import pytest
from scans_on_disk import refused, stored

from recalib_keras.volumes import VolumeError, read, read_labels, reading

# nibabel leaves a plain .mgh file open when it reads the header.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


# Good files


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz", "scan.mgh", "scan.img", "SCAN.NII.GZ"])
def test_formats_agree(tmp_path, intensities, oblique_affine, name):
    image_class = {"z": nib.MGHImage, "h": nib.MGHImage, "g": nib.Nifti1Pair}.get(name[-1], nib.Nifti1Image)
    nib.save(image_class(intensities, oblique_affine), tmp_path / name)
    volume = read(tmp_path / name)
    assert np.array_equal(volume.array, intensities) and volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.grid.affine, oblique_affine, atol=1e-5)
    assert volume.source == tmp_path / name
    assert volume.header is not None


def test_nifti2(tmp_path, intensities, oblique_affine):
    nib.save(nib.Nifti2Image(intensities, oblique_affine), tmp_path / "scan.nii")
    volume = read(tmp_path / "scan.nii")
    assert np.array_equal(volume.array, intensities)
    assert isinstance(volume.header, nib.Nifti2Header)


def test_a_header_file_stands_for_its_pair(tmp_path, intensities):
    nib.save(nib.Nifti1Pair(intensities, np.eye(4)), tmp_path / "scan.img")
    assert np.array_equal(read(tmp_path / "scan.hdr").array, intensities)


def test_in_memory(intensities, oblique_affine):
    image = nib.Nifti1Image(intensities, oblique_affine)
    volume = read(image)
    assert np.array_equal(volume.array, intensities) and volume.source is None
    assert volume.grid.affine.tobytes() == oblique_affine.tobytes()
    volume.array[:] = 0
    volume.header["descrip"] = "changed"
    assert np.array_equal(image.get_fdata(), intensities) and image.header["descrip"] == b""


def test_in_memory_remembers_its_file(scan_path):
    assert read(nib.load(scan_path)).source == scan_path


def test_scaling_is_applied(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.5, -1024)
    nib.save(image, tmp_path / "ct.nii")
    np.testing.assert_array_equal(read(tmp_path / "ct.nii").array.ravel(), np.arange(24) * 0.5 - 1024)


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Spm99AnalyzeImage])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(40, 30, 20), (40, 30, 20, 3)])
def test_scaled_values_are_nibabels_rounded_to_float32(tmp_path, rng, monkeypatch, image_class, dtype, shape):
    monkeypatch.setattr(reading, "VOXELS_AT_ONCE", 40 * 30 * 7)
    image = image_class(rng.integers(0, 256, shape).astype(dtype), np.diag([-1.0, 1.0, 1.0, 1.0]))
    image.header.set_data_dtype(dtype)
    image.header.set_slope_inter(1 / 3, 0 if image_class is nib.Spm99AnalyzeImage else -1000.1)
    path = tmp_path / ("scan.nii.gz" if image_class is nib.Nifti1Image else "scan.img")
    nib.save(image, path)
    expected = np.asarray(nib.load(path).dataobj)
    expected, volume = (expected, None) if len(shape) == 3 else (expected[..., 1], 1)
    for source in (path, nib.load(path)):
        for keep_integers in (False, True):
            result = read(source, volume, keep_integers).array
            assert result.dtype == np.float32 and result.flags.f_contiguous
            assert np.array_equal(result, expected.astype(np.float32))


def peak_ratio(reader, *arguments, **settings):
    """Return how many times the memory of the array it takes to read it, at the most."""
    tracemalloc.start()
    try:
        array = reader(*arguments, **settings).array
        return tracemalloc.get_traced_memory()[1] / array.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz"])
@pytest.mark.parametrize("keep_integers", [False, True])
def test_scaled_values_take_hardly_more_memory_than_their_array(tmp_path, name, keep_integers):
    image = nib.Nifti1Image(np.arange(2**22, dtype=np.int32).reshape(128, 128, 256) % 2000, np.eye(4))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(1, -1024)
    nib.save(image, tmp_path / name)
    for source in (tmp_path / name, nib.load(tmp_path / name)):
        assert peak_ratio(read, source, keep_integers=keep_integers) < 1.5


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.mgz"])
def test_values_that_need_no_scaling_are_held_once(tmp_path, name):
    array = np.arange(2**22, dtype=np.int16).reshape(128, 128, 256)
    nib.save((nib.MGHImage if name.endswith("mgz") else nib.Nifti1Image)(array, np.eye(4)), tmp_path / name)
    assert peak_ratio(read, tmp_path / name, keep_integers=True) < 1.5
    assert peak_ratio(read_labels, tmp_path / name) < 1.5


def test_holes_are_filled_without_a_copy():
    array = np.arange(2**22, dtype=np.float32).reshape(128, 128, 256)
    array[::2] = np.nan
    with pytest.warns(UserWarning, match="were NaN"):
        assert peak_ratio(read, nib.Nifti1Image(array, np.eye(4))) < 1.6  # a byte each says which they are


def test_a_compressed_file_is_unpacked_once(tmp_path, monkeypatch):
    array = np.arange(2**18, dtype=np.int16).reshape(64, 64, 64)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "scan.nii.gz")
    monkeypatch.setattr(reading, "VOXELS_AT_ONCE", 64 * 64)
    for source in (tmp_path / "scan.nii.gz", nib.load(tmp_path / "scan.nii.gz")):
        with mock.patch.object(reading, "ImageOpener", wraps=reading.ImageOpener) as opener:
            assert np.array_equal(read(source).array, array)
        opener.assert_called_once()


def test_a_nan_slope_means_no_scaling(tmp_path):
    path = stored(tmp_path / "scan.nii", scl_slope=np.nan, scl_inter=np.nan)
    assert read(path).array.ravel().tolist() == list(range(60))


@pytest.mark.parametrize("shape", [(5, 4, 3, 1), (5, 4, 3, 1, 1), (5, 4, 1), (1, 4, 3)])
def test_axes_of_length_one(tmp_path, shape, rng):
    array = rng.normal(size=shape).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "scan.nii")
    assert np.array_equal(read(tmp_path / "scan.nii").array, array.reshape(shape[:3]))


def test_a_volume_of_a_4d_image(nibabel_data):
    path = nibabel_data / "example4d.nii.gz"
    expected = nib.load(path).get_fdata(dtype=np.float32)
    for index in range(expected.shape[3]):
        assert np.array_equal(read(path, volume=index).array, expected[..., index])


def test_a_vector_image_stored_along_the_fifth_axis(rng):
    array = rng.normal(size=(3, 4, 5, 1, 2))
    result = read(nib.Nifti1Image(array, np.eye(4)), volume=1).array
    np.testing.assert_allclose(result, array[..., 0, 1], rtol=1e-6)


@pytest.mark.parametrize("name", ["anatomical.nii", "example_nifti2.nii.gz", "standard.nii.gz"])
def test_nibabels_own_images(nibabel_data, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of them leave the orientation open
        image = nib.load(nibabel_data / name)
        volume = 0 if image.ndim == 4 else None
        result = read(nibabel_data / name, volume)
    expected = image.get_fdata(dtype=np.float32)
    assert np.array_equal(result.array, expected if expected.ndim == 3 else expected[..., 0])
    assert np.array_equal(result.grid.affine, image.affine)


def test_the_array_does_not_hang_on_the_file(tmp_path):
    path = stored(tmp_path / "scan.nii")
    volume = read(path)
    path.write_bytes(b"")
    assert volume.array.sum() == sum(range(60))
    assert volume.array.flags.writeable


# Values


def test_isolated_holes_are_filled_and_counted(rng):
    array = rng.uniform(5, 9, (10, 10, 10)).astype(np.float32)
    array[0, 0, 0], array[1, 2, 3], array[9, 9, 9] = np.nan, np.inf, -np.inf
    array[5, 5, 5] = 4
    with pytest.warns(UserWarning, match="3 of 1,000 voxels were NaN or infinite and were set to 4") as caught:
        result = read(nib.Nifti1Image(array, np.eye(4))).array
    assert caught[0].filename == __file__
    assert result[0, 0, 0] == result[1, 2, 3] == result[9, 9, 9] == 4
    assert np.array_equal(result[np.isfinite(array)], array[np.isfinite(array)])
    assert result.dtype == np.float32


def test_values_beyond_float32_count_as_infinite():
    array = np.arange(8.0).reshape(2, 2, 2)
    array[1, 1, 1] = 1e300
    with pytest.warns(UserWarning, match="1 of 8 voxels"):
        assert read(nib.Nifti1Image(array, np.eye(4))).array.max() == 6


@pytest.mark.parametrize("value", [0, 7.5])
def test_a_constant_image(value):
    refused(f"got {value:g} in every voxel", nib.Nifti1Image(np.full((3, 4, 5), value, np.float32), np.eye(4)))


def test_a_constant_image_with_holes():
    array = np.ones((3, 4, 5))
    array[0, 0, 0] = np.nan
    with pytest.warns(UserWarning, match="1 of 60 voxels"):
        refused("a constant image", nib.Nifti1Image(array, np.eye(4)))


def test_an_image_of_nan():
    refused("NaN or infinity in every voxel", nib.Nifti1Image(np.full((3, 4, 5), np.nan), np.eye(4)))


# Label maps


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_labels_keep_their_integer_type(tmp_path, dtype, endian):
    header = nib.Nifti1Header(endianness=endian)
    header.set_data_dtype(dtype)
    labels = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    nib.save(nib.Nifti1Image(labels, np.eye(4), header), tmp_path / "labels.nii")
    result = read_labels(tmp_path / "labels.nii").array
    assert result.dtype == dtype and result.dtype.isnative
    assert np.array_equal(result, labels)


@pytest.mark.parametrize(("most", "dtype"), [(2035, np.int32), (2.0**40, np.int64)])
def test_labels_stored_as_real_numbers(most, dtype):
    labels = np.array([0, 1, most, -3], np.float64).reshape(2, 2, 1)
    result = read_labels(nib.Nifti1Image(labels, np.eye(4))).array
    assert result.dtype == dtype and np.array_equal(result, labels)


def test_labels_beyond_float32_are_exact_slab_by_slab(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "VOXELS_AT_ONCE", 1)
    labels = 2**24 + np.arange(60, dtype=np.int32).reshape(5, 4, 3)
    image = nib.Nifti1Image(labels, np.eye(4))
    nib.save(image, tmp_path / "labels.nii.gz")
    assert np.array_equal(read_labels(tmp_path / "labels.nii.gz").array, labels)
    image.header.set_slope_inter(2, 0)
    image = nib.Nifti1Image(2 * labels, np.eye(4), image.header)
    nib.save(image, tmp_path / "scaled.nii.gz")
    assert np.array_equal(read_labels(tmp_path / "scaled.nii.gz").array, 2 * labels)


@pytest.mark.parametrize("value", [0.5, 1.0021, 0.997, 2.3, -0.5, np.nan, np.inf, -np.inf, 1e30])
def test_labels_must_be_whole(value):
    labels = np.zeros((3, 3, 3))
    labels[1, 1, 1] = value
    refused("expected whole numbers in a label map", nib.Nifti1Image(labels, np.eye(4)), reader=read_labels)


@pytest.mark.parametrize("value", [1.00000006, 0.9999, 1.0009, 2.0 - 1e-7, -1.0001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_within_rounding_of_whole_numbers_are_rounded(value, dtype):
    labels = np.zeros((3, 3, 3), dtype)
    labels[1, 1, 1] = value
    result = read_labels(nib.Nifti1Image(labels, np.eye(4))).array
    assert result.dtype == np.int32
    assert result[1, 1, 1] == round(value) and np.count_nonzero(result) == 1


@pytest.mark.parametrize("name", ["mask.nii", "mask.nii.gz"])
@pytest.mark.parametrize(("stored", "slope", "most"), [(np.uint8, 255, 1), (np.int16, 32767, 1), (np.int16, 10, 3000)])
def test_labels_scaled_by_a_fraction_are_whole(tmp_path, name, stored, slope, most):
    labels = np.arange(60).reshape(5, 4, 3) * most // 59
    image = nib.Nifti1Image((labels * slope).astype(stored), np.eye(4))
    image.header.set_slope_inter(1 / slope, 0)  # in float32, as SPM writes it
    nib.save(image, tmp_path / name)
    assert not np.array_equal(nib.load(tmp_path / name).get_fdata(), labels)
    assert np.array_equal(read_labels(tmp_path / name).array, labels)


def test_the_message_names_a_value_that_is_not_whole():
    labels = np.zeros((3, 3, 3))
    labels[1, 1, 2] = 2.3
    with pytest.raises(VolumeError, match=r"expected whole numbers in a label map, got 2.3 \(an image"):
        read_labels(nib.Nifti1Image(labels, np.eye(4)))


@pytest.mark.parametrize("reader", [read, read_labels])
def test_float16(reader, tmp_path):
    array = np.arange(60, dtype=np.float16).reshape(5, 4, 3)
    for image in (
        nib.Nifti1Image(array, np.eye(4), nib.Nifti1Header()),
        nib.spatialimages.SpatialImage(array, np.eye(4)),
    ):
        assert np.array_equal(reader(image).array, array)
        assert reader(image).array.dtype == (np.float32 if reader is read else np.int32)


def test_values_of_no_number_are_named():
    image = nib.Nifti1Image(np.zeros((4, 4, 4), "V16"), np.eye(4), nib.Nifti1Header())
    refused("expected one real number for each voxel, got values of the type", image)


def test_an_empty_label_map_is_fine():
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4))
    assert not read_labels(image).array.any()


def test_labels_from_a_folder(tmp_path):
    refused("expected a label map in one file", tmp_path, reader=read_labels)


# Real scans


def test_real_scans(data_root):
    paths = sorted((data_root / "hippocampus" / "imagesTr").glob("*.nii.gz"))[:4]
    assert len(paths) == 4
    for path in paths:
        scan, labels = read(path), read_labels(path.parents[1] / "labelsTr" / path.name)
        assert scan.grid.orientation == "RAS" and scan.grid.spacing == pytest.approx((1, 1, 1))
        assert scan.grid.matches(labels.grid)
        assert set(np.unique(labels.array)) == {0, 1, 2}


def test_a_real_label_map_stored_as_real_numbers(data_root):
    labels = read_labels(data_root / "brain_labels" / "training_seg_01.nii.gz")
    assert nib.load(labels.source).get_data_dtype().kind == "f"
    assert labels.array.dtype == np.int32 and labels.grid.orientation == "LIA"
    assert {0, 2, 3, 17, 53} <= set(np.unique(labels.array[::2, ::2, ::2]))


@pytest.mark.parametrize(
    ("stored", "slope", "expected"),
    [
        (np.int16, 1, np.int16),
        (np.uint8, 1, np.uint8),
        (np.uint16, 1, np.uint16),
        (np.int32, 1, np.float32),
        (np.float64, 1, np.float32),
        (np.int16, 0.5, np.float32),
    ],
)
def test_small_integers_are_kept_if_wanted(tmp_path, stored, slope, expected):
    image = nib.Nifti1Image(np.arange(24, dtype=stored).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(slope, 0)
    image.to_filename(tmp_path / "scan.nii.gz")
    kept, plain = read(tmp_path / "scan.nii.gz", keep_integers=True), read(tmp_path / "scan.nii.gz")
    assert kept.array.dtype == expected and plain.array.dtype == np.float32
    assert np.array_equal(kept.array, plain.array)


def test_too_little_memory_is_said_to_be_that(tmp_path, rng, monkeypatch):
    path = tmp_path / "scan.nii"
    nib.save(nib.Nifti1Image(rng.normal(size=(4, 4, 4)).astype("float32"), np.eye(4)), path)

    def exhausted(*_):
        raise MemoryError("cannot allocate")

    monkeypatch.setattr(reading, "_slab_by_slab", exhausted)
    refused("expected room for 64 voxels, got too little memory", path)
