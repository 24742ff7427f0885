import gzip
import logging
import tracemalloc
import warnings
from unittest import mock

import nibabel as nib
import numpy as np
import pytest
from nibabel.freesurfer.mghformat import header_dtype
from scipy import io

from recalib_keras.volumes import VolumeError, read, read_labels, reading

# nibabel leaves a plain .mgh file open when it reads the header.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def refused(match, path, volume=None, reader=read):
    """Check that the scan is refused, with nothing but one line."""
    with pytest.raises(VolumeError, match=match) as caught:
        reader(path, volume)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value) and "got" in str(caught.value)


def stored(path, array=None, affine=None, edit=None, **fields):
    """Write a NIfTI file whose header fields are set to `fields` behind nibabel's back."""
    array = np.arange(60, dtype=np.float32).reshape(5, 4, 3) if array is None else array
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    data = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(data[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    if edit is not None:
        edit(header)
    data[:348] = header.binaryblock
    path.write_bytes(data)
    return path


def mgh(path, **fields):
    """Write an MGH or MGZ file whose header fields are set to `fields` behind nibabel's back."""
    nib.save(nib.MGHImage(np.arange(60, dtype=np.float32).reshape(5, 4, 3), np.eye(4)), path)
    opened = gzip.open if path.suffix == ".mgz" else open
    with opened(path, "rb") as file:
        data = bytearray(file.read())
    header = np.frombuffer(data, header_dtype, count=1)
    for field, value in fields.items():
        header[field] = value
    with opened(path, "wb") as file:
        file.write(data)
    return path


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


# Files that cannot be read


def test_missing_file(tmp_path):
    refused("got no such file", tmp_path / "none.nii.gz")


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    refused("an empty file", tmp_path / name)


@pytest.mark.parametrize("name", ["notes.txt", "figure.png", "slice.dcm", "scan", "scan.gz", "scan.nii.bz2"])
def test_unsupported_ending(tmp_path, name):
    (tmp_path / name).write_bytes(b"whatever")
    refused("unsupported ending", tmp_path / name)


@pytest.mark.parametrize("name", ["scan.nii", "scan.mgh", "scan.img", "scan.hdr"])
@pytest.mark.parametrize("size", [3, 400, 5000])
def test_random_bytes(tmp_path, rng, name, size):
    (tmp_path / name).write_bytes(b"\x00" + rng.bytes(size))
    refused("none or is damaged|side by side", tmp_path / name)


def test_random_bytes_compressed(tmp_path, rng):
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(rng.bytes(1000)))
    refused("none or is damaged", tmp_path / "scan.nii.gz")


def test_a_wrong_ending_for_the_compression(tmp_path, scan_path):
    plain = tmp_path / "plain.nii.gz"
    plain.write_bytes(gzip.decompress(scan_path.read_bytes()))
    refused("rename it to end without '.gz'", plain)
    packed = scan_path.rename(tmp_path / "packed.nii")
    refused("rename it to end with '.gz'", packed)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mgz"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_truncated_file(tmp_path, rng, name, kept):
    array = rng.normal(size=(20, 20, 20)).astype(np.float32)
    nib.save((nib.MGHImage if name.endswith("mgz") else nib.Nifti1Image)(array, np.eye(4)), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(kept * len(data))])
    refused("damaged", tmp_path / name)


def test_damaged_compression(tmp_path, rng):
    nib.save(nib.Nifti1Image(rng.normal(size=(20, 20, 20)), np.eye(4)), tmp_path / "scan.nii.gz")
    data = bytearray((tmp_path / "scan.nii.gz").read_bytes())
    data[len(data) // 2] ^= 255  # still unpacks, to other values: only the checksum tells
    (tmp_path / "scan.nii.gz").write_bytes(data)
    refused("damaged", tmp_path / "scan.nii.gz")


@pytest.mark.parametrize(("kept", "lost"), [("img", "hdr"), ("hdr", "img")])
def test_half_a_pair(tmp_path, intensities, kept, lost):
    nib.save(nib.Nifti1Pair(intensities, np.eye(4)), tmp_path / "scan.img")
    (tmp_path / f"scan.{lost}").unlink()
    refused("side by side|damaged", tmp_path / f"scan.{kept}")


def test_an_in_memory_image_whose_file_is_gone(scan_path):
    image = nib.load(scan_path)
    scan_path.unlink()
    refused("truncated or damaged", image)


@pytest.mark.parametrize("name", ["scan.nii", "scan.img"])
def test_a_header_that_claims_more_than_the_file_holds(tmp_path, intensities, name):
    path = tmp_path / name
    nib.save((nib.Nifti1Pair if name.endswith("img") else nib.Nifti1Image)(intensities, np.eye(4)), path)
    header_path = path if path.suffix == ".nii" else path.with_suffix(".hdr")
    data = bytearray(header_path.read_bytes())
    data[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()  # dim[1:4]: 108 TB of float32
    header_path.write_bytes(data)
    refused("claims 108,000,000,000,000 bytes of voxels", path)


# Images that are no single scan


@pytest.mark.parametrize("shape", [(5,), (5, 4)])
def test_too_few_axes(tmp_path, shape):
    nib.save(nib.Nifti1Image(np.ones(shape, np.float32), np.eye(4)), tmp_path / "flat.nii")
    refused(f"expected a 3-D image, got a {len(shape)}-D one", tmp_path / "flat.nii")


def test_4d_without_a_volume(nibabel_data):
    refused(
        r"a 4-D image of 2 volumes; choose one from 0 to 1: --volume I, in Python volume=I, in a recipe volume = I under \[data\]",
        nibabel_data / "example4d.nii.gz",
    )


@pytest.mark.parametrize("volume", [2, -1])
def test_4d_with_a_volume_out_of_range(nibabel_data, volume):
    refused(f"a volume from 0 to 1 .*got volume {volume}", nibabel_data / "example4d.nii.gz", volume)


def test_3d_with_a_volume_out_of_range(scan_path):
    refused(r"\(the image has 1\), got volume 1", scan_path, 1)
    assert read(scan_path, volume=0).array.ndim == 3


def test_two_further_axes():
    refused(
        r"expected a 3-D or 4-D image, got shape \(3, 4, 5, 2, 2\)",
        nib.Nifti1Image(np.ones((3, 4, 5, 2, 2)), np.eye(4)),
        0,
    )


def test_no_voxels():
    refused("at least one voxel along each axis", nib.Nifti1Image(np.ones((3, 0, 5)), np.eye(4)))


def test_a_header_of_zero_sizes(tmp_path):
    refused("expected", stored(tmp_path / "scan.nii", dim=[3, 5, 0, 3, 1, 1, 1, 1]))
    refused("expected", stored(tmp_path / "scan.nii", dim=[0] * 8))


def test_colours(tmp_path):
    colours = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "rgb.nii")
    refused(r"got colours \(RGB\)", tmp_path / "rgb.nii")


def test_complex_numbers():
    refused("complex64", nib.Nifti1Image(np.zeros((4, 4, 4), np.complex64), np.eye(4)))


# Headers that do not say where the voxels stand


@pytest.mark.parametrize("size", [0, -1, np.nan, np.inf])
@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("sform", [0, 2])
def test_voxel_size(tmp_path, size, axis, sform):
    def edit(header):
        header["pixdim"][axis] = size
        header["sform_code"], header["qform_code"] = sform, 1

    refused("three positive voxel sizes|damaged", stored(tmp_path / "scan.nii", edit=edit))


@pytest.mark.parametrize("size", [0, np.nan])
def test_voxel_size_of_mgh(tmp_path, size):
    refused("three positive voxel sizes", mgh(tmp_path / "scan.mgh", delta=[1, size, 1]))


def test_an_sform_of_zeros(tmp_path):
    zeros = dict.fromkeys(("srow_x", "srow_y", "srow_z"), 0)
    refused("singular", stored(tmp_path / "scan.nii", sform_code=2, **zeros))


def test_a_flat_affine(tmp_path):
    refused("singular", stored(tmp_path / "scan.nii", sform_code=1, srow_z=[1, 0, 0, 0], srow_x=[1, 0, 0, 0]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_affine_of_no_numbers(tmp_path, value):
    refused("finite affine", stored(tmp_path / "scan.nii", sform_code=1, srow_x=[1, 0, 0, value]))


def test_a_quaternion_of_no_numbers(tmp_path):
    refused("finite affine|damaged", stored(tmp_path / "scan.nii", sform_code=0, qform_code=1, quatern_b=np.nan))
    refused("finite affine|damaged", stored(tmp_path / "scan.nii", sform_code=0, qform_code=1, quatern_b=5))


def test_an_image_without_affine():
    refused("expected an image with an affine", nib.spatialimages.SpatialImage(np.ones((3, 4, 5)), None))


def test_an_open_orientation_warns(tmp_path):
    path = stored(tmp_path / "scan.nii", sform_code=0, qform_code=0)
    with pytest.warns(UserWarning, match=r"neither qform nor sform is set.*base affine") as caught:
        volume = read(path)
    assert volume.grid.orientation == "LAS"
    assert caught[0].filename == __file__


def analyze(path, image_class=nib.Spm99AnalyzeImage, keep=("mat", "M")):
    """Write an Analyze image of sagittal slices, and a .mat file beside it that holds the matrices `keep` alone."""
    affine = np.array([[0, 0, 3.0, -5], [1, 0, 0, 2], [0, 2, 0, 1], [0, 0, 0, 1]])
    nib.save(image_class(np.arange(60, dtype=np.int16).reshape(5, 4, 3), affine), path)
    mat = path.with_suffix(".mat")
    matrices = {name: matrix for name, matrix in io.loadmat(mat).items() if name in keep} if mat.exists() else {}
    mat.unlink(missing_ok=True)
    if matrices:
        io.savemat(mat, matrices, format="4")
    return affine


@pytest.mark.parametrize("image_class", [nib.AnalyzeImage, nib.Spm99AnalyzeImage])
@pytest.mark.parametrize("name", ["scan.img", "scan.hdr"])
def test_plain_analyze_warns(tmp_path, image_class, name):
    analyze(tmp_path / "scan.img", image_class, keep=())
    with pytest.warns(UserWarning, match=r"left and right are uncertain; .* SPM gives such files .*LAS") as caught:
        volume = read(tmp_path / name)
    assert volume.grid.orientation == "LAS" and caught[0].filename == __file__
    with pytest.warns(UserWarning, match="left and right are uncertain"):
        read(nib.load(tmp_path / name))


def test_an_empty_mat_file_tells_nothing(tmp_path):
    analyze(tmp_path / "scan.img", keep=())
    (tmp_path / "scan.mat").touch()
    with pytest.warns(UserWarning, match="left and right are uncertain"):
        read(tmp_path / "scan.img")


def test_analyze_with_the_matrix_of_spm99_warns(tmp_path):
    analyze(tmp_path / "scan.img", keep=("M",))
    with pytest.warns(UserWarning, match="left and right are uncertain"):
        assert read(tmp_path / "scan.img").grid.orientation == "ASR"


def test_analyze_with_a_mat_file_stands_where_that_says(tmp_path):
    affine = analyze(tmp_path / "scan.img")
    np.testing.assert_allclose(read(tmp_path / "scan.img").grid.affine, affine)


def test_an_analyze_image_made_in_memory_has_the_affine_it_was_given(intensities, oblique_affine):
    np.testing.assert_allclose(read(nib.AnalyzeImage(intensities, oblique_affine)).grid.affine, oblique_affine)


@pytest.mark.parametrize("name", ["scan.mgh", "scan.mgz"])
@pytest.mark.parametrize("flag", [0, -1])
@pytest.mark.parametrize("size", [0, 2.5])
def test_mgh_without_valid_geometry_warns_and_stands_where_freesurfer_has_it(tmp_path, name, flag, size):
    mgh(tmp_path / name, goodRASFlag=flag, delta=size)
    with pytest.warns(UserWarning, match=r"goodRASFlag 0.*left and right.*uncertain.*voxels of 1 mm.*LIA") as caught:
        volume = read(tmp_path / name)
    # FreeSurfer: x_ras = (-1, 0, 0), y_ras = (0, 0, -1), z_ras = (0, 1, 0), and 0 at voxel (width, height, depth) / 2.
    expected = [[-1, 0, 0, 2.5], [0, 0, 1, -1.5], [0, -1, 0, 2], [0, 0, 0, 1]]
    assert np.array_equal(volume.grid.affine, expected)
    assert [warning.filename for warning in caught if warning.category is UserWarning] == [__file__]


def test_an_unknown_unit_means_millimetres(tmp_path):
    assert read(stored(tmp_path / "scan.nii", xyzt_units=7)).grid.spacing == (1, 1, 1)


def test_bad_headers_say_nothing_besides_the_error(tmp_path, capfd, caplog):
    refused("voxel sizes", stored(tmp_path / "scan.nii", pixdim=[1, 0, -1, 0, 0, 0, 0, 0], qform_code=9))
    refused("none or is damaged", stored(tmp_path / "scan.nii", datatype=9999))
    read(stored(tmp_path / "scan.nii", qform_code=9))
    assert capfd.readouterr().err == "" and not caplog.records
    assert not logging.getLogger("nibabel.global").filters


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


@pytest.mark.parametrize("value", [0.5, 1.0001, np.nan, np.inf, 1e30])
def test_labels_must_be_whole(value):
    labels = np.zeros((3, 3, 3))
    labels[1, 1, 1] = value
    refused("expected whole numbers in a label map", nib.Nifti1Image(labels, np.eye(4)), reader=read_labels)


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
