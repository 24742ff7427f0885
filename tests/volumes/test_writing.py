import nibabel as nib
import numpy as np
import pytest

from recalib_keras.volumes import Grid, Volume, VolumeError, label_image, read, read_labels, save, smallest_integer

# nibabel leaves a plain .mgh file open when it reads the header.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def labels_of(volume, most=3):
    return (np.arange(volume.array.size) % (most + 1)).reshape(volume.array.shape)


@pytest.mark.parametrize(
    ("lowest", "highest", "dtype"),
    [
        (0, 0, "uint8"),
        (0, 255, "uint8"),
        (0, 256, "uint16"),
        (0, 65535, "uint16"),
        (0, 65536, "uint32"),
        (0, 2**40, "uint64"),
        (-1, 3, "int16"),
        (-40000, 3, "int32"),
        (-1, 40000, "int32"),
        (-1, 2**40, "int64"),
    ],
)
def test_smallest_integer(lowest, highest, dtype):
    assert smallest_integer(np.array([lowest, highest])) == dtype


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 2), (1, 4), (3, 3)])
def test_the_labels_lie_exactly_on_the_scan(tmp_path, intensities, oblique_affine, image_class, qform, sform):
    scan = image_class(intensities, oblique_affine)
    scan.set_qform(oblique_affine, qform)
    scan.set_sform(oblique_affine, sform)
    scan.header.set_xyzt_units("mm", "sec")
    scan.header["cal_max"] = 99
    scan.header.set_slope_inter(2, 1)
    nib.save(scan, tmp_path / "scan.nii.gz")
    stored = nib.load(tmp_path / "scan.nii.gz")
    volume = read(tmp_path / "scan.nii.gz")
    save(label_image(labels_of(volume), volume), tmp_path / "labels.nii.gz")
    result = nib.load(tmp_path / "labels.nii.gz")
    assert type(result) is image_class
    assert result.affine.tobytes() == stored.affine.tobytes()
    for field in ("qform_code", "sform_code", "xyzt_units", "quatern_b", "qoffset_x", "srow_x"):
        assert np.array_equal(result.header[field], stored.header[field])
    assert np.array_equal(result.header["pixdim"][:4], stored.header["pixdim"][:4])
    assert result.get_data_dtype() == np.uint8
    assert result.header["cal_max"] == 0 and result.header.get_slope_inter()[0] in (None, 1.0)
    assert result.header["descrip"] == b"recalib-keras"
    assert np.array_equal(np.asanyarray(result.dataobj), labels_of(volume))


def test_qform_and_sform_that_differ_are_both_kept(tmp_path, intensities, oblique_affine):
    scan = nib.Nifti1Image(intensities, oblique_affine)
    scan.set_sform(oblique_affine, 4)
    other = oblique_affine.copy()
    other[:3, 3] += 10
    scan.set_qform(other, 1)
    volume = read(scan)
    result = label_image(labels_of(volume), volume)
    np.testing.assert_allclose(result.get_qform()[:3, 3], other[:3, 3])
    np.testing.assert_allclose(result.get_sform()[:3, 3], oblique_affine[:3, 3])


def test_in_memory_affine_is_kept_to_the_bit(intensities, oblique_affine):
    affine = oblique_affine + 1e-9 * np.vstack([np.eye(3, 4), np.zeros(4)])  # beyond what a header's float32 holds
    volume = read(nib.Nifti1Image(intensities, affine))
    assert label_image(labels_of(volume), volume).affine.tobytes() == affine.tobytes()


def test_labels_on_another_grid_stand_where_that_grid_is(scan_path):
    volume = read(scan_path).conform("RAS", spacing=1.0)
    image = label_image(labels_of(volume), volume)
    assert image.shape == volume.grid.shape
    assert np.array_equal(image.affine, volume.grid.affine)
    assert image.header["sform_code"] == 2 and image.header["qform_code"] == 0
    np.testing.assert_allclose(image.header.get_best_affine(), volume.grid.affine, atol=1e-5)
    np.testing.assert_allclose(image.header.get_zooms(), 1, rtol=1e-6)


def test_a_unit_other_than_millimetres_is_kept(intensities):
    scan = nib.Nifti1Image(intensities, np.diag([0.001, 0.002, 0.001, 1]))
    scan.header.set_xyzt_units("meter")
    volume = read(scan)
    assert volume.grid.spacing == pytest.approx((1, 2, 1))
    result = label_image(labels_of(volume), volume)
    np.testing.assert_allclose(result.affine, scan.affine)
    assert result.header.get_xyzt_units()[0] == "meter"


def test_a_big_endian_scan(tmp_path, intensities, oblique_affine):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.float32)
    nib.save(nib.Nifti1Image(intensities, oblique_affine, header), tmp_path / "big.nii")
    assert nib.load(tmp_path / "big.nii").header.endianness == ">"
    volume = read(tmp_path / "big.nii")
    assert np.array_equal(volume.array, intensities) and volume.array.dtype.isnative
    result = label_image(labels_of(volume), volume)
    assert np.array_equal(result.affine, volume.grid.affine)
    np.testing.assert_array_equal(result.header.get_best_affine(), volume.grid.affine)


def test_an_mgz_scan_gives_scanner_codes(nibabel_data):
    volume = read(nibabel_data / "test.mgz", volume=1)
    image = label_image(labels_of(volume), volume)
    assert (image.header["qform_code"], image.header["sform_code"]) == (0, 1)  # its axes are not at right angles
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_best_affine(), volume.grid.affine, atol=1e-5)


def test_an_mgz_scan_at_right_angles_gives_both_codes(intensities, oblique_affine):
    volume = read(nib.MGHImage(intensities, oblique_affine))
    image = label_image(labels_of(volume), volume)
    assert (image.header["qform_code"], image.header["sform_code"]) == (1, 1)
    np.testing.assert_allclose(image.get_qform(), volume.grid.affine, atol=1e-4)
    np.testing.assert_allclose(image.get_sform(), volume.grid.affine, atol=1e-5)


def uncertain(path, image_class):
    """Write a scan that does not say where it stands, and read it."""
    nib.save(image_class(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.eye(4)), path)
    data = bytearray(path.read_bytes())
    if image_class is nib.MGHImage:
        data[28:30] = bytes(2)  # goodRASFlag
        path.write_bytes(data)
    with pytest.warns(UserWarning, match="left and right"):
        return read(path)


@pytest.mark.parametrize(("name", "image_class"), [("scan.img", nib.AnalyzeImage), ("scan.mgh", nib.MGHImage)])
def test_labels_of_a_scan_of_uncertain_place_do_not_claim_to_know_it(tmp_path, name, image_class):
    volume = uncertain(tmp_path / name, image_class)
    save(label_image(labels_of(volume), volume), tmp_path / "labels.nii")
    result = nib.load(tmp_path / "labels.nii")
    assert (result.header["qform_code"], result.header["sform_code"]) == (0, 2)
    assert np.array_equal(result.affine, volume.grid.affine)
    assert read(tmp_path / "labels.nii").grid.matches(volume.grid)


def test_labels_of_an_open_orientation_claim_it_on_no_other_grid(tmp_path, intensities):
    nib.save(nib.Nifti1Image(intensities, None), tmp_path / "scan.nii")
    with pytest.warns(UserWarning, match="left and right"):
        volume = read(tmp_path / "scan.nii")
    image = label_image(labels_of(volume), volume)
    assert (image.header["qform_code"], image.header["sform_code"]) == (0, 0)
    volume = volume.conform("RAS", spacing=2.0)
    image = label_image(labels_of(volume), volume)
    assert (image.header["qform_code"], image.header["sform_code"]) == (0, 2)


def test_a_sheared_grid_moves_a_lone_qform_to_the_sform(intensities, oblique_affine):
    scan = nib.Nifti1Image(intensities, oblique_affine)
    scan.set_qform(oblique_affine, 1)
    scan.set_sform(None, 0)
    sheared = oblique_affine.copy()
    sheared[0, 2] += 0.5
    volume = read(scan).on(Grid(intensities.shape, sheared))
    image = label_image(labels_of(volume), volume)
    assert (image.header["qform_code"], image.header["sform_code"]) == (0, 1)
    np.testing.assert_allclose(image.header.get_best_affine(), sheared, atol=1e-5)


def test_a_volume_without_header_gives_scanner_codes():
    volume = Volume(np.zeros((2, 3, 4)), Grid((2, 3, 4), np.eye(4)))
    image = label_image(np.ones((2, 3, 4), bool), volume)
    assert (image.header["qform_code"], image.header["sform_code"]) == (1, 1)
    assert image.get_data_dtype() == np.uint8


def test_a_long_axis_makes_nifti2():
    volume = Volume(np.zeros((32768, 1, 1)), Grid((32768, 1, 1), np.eye(4)))
    assert type(label_image(np.zeros((32768, 1, 1), int), volume)) is nib.Nifti2Image


def test_refuses_labels_that_are_no_integers():
    volume = Volume(np.zeros((2, 3, 4)), Grid((2, 3, 4), np.eye(4)))
    with pytest.raises(TypeError, match="expected labels of an integer dtype, got float64"):
        label_image(np.zeros((2, 3, 4)), volume)


def test_refuses_labels_of_another_shape():
    volume = Volume(np.zeros((2, 3, 4)), Grid((2, 3, 4), np.eye(4)))
    with pytest.raises(VolumeError, match=r"expected labels of the scan's shape \(2, 3, 4\), got \(4, 3, 2\)"):
        label_image(np.zeros((4, 3, 2), int), volume)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mgz", ".mgh", ".NII.GZ"])
@pytest.mark.parametrize("most", [3, 300, 40000])
def test_save_and_read_labels(tmp_path, oblique_affine, ending, most):
    labels = np.arange(60).reshape(5, 4, 3) * most // 59
    volume = Volume(labels, Grid(labels.shape, oblique_affine))
    image = label_image(labels, volume)
    path = save(image, tmp_path / "new" / f"labels{ending}")
    result = read_labels(path)
    assert np.array_equal(result.array, labels)
    assert result.grid.matches(volume.grid)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert image.get_filename() is None


@pytest.mark.parametrize(("unit", "length"), [("micron", 1e3), ("meter", 1e-3), ("mm", 1.0)])
@pytest.mark.parametrize("ending", [".mgz", ".nii"])
def test_labels_of_a_scan_in_another_unit_stand_where_it_does(
    tmp_path, intensities, oblique_affine, unit, length, ending
):
    scan = nib.Nifti1Image(intensities, np.diag([length, length, length, 1]) @ oblique_affine)
    scan.header.set_xyzt_units(unit)
    volume = read(scan)
    path = save(label_image(labels_of(volume), volume), tmp_path / f"labels{ending}")
    assert read_labels(path).grid.matches(volume.grid)
    np.testing.assert_allclose(volume.grid.affine, oblique_affine, atol=1e-5)


@pytest.mark.parametrize("ending", [".nii.gz", ".mgz"])
def test_save_keeps_real_numbers(tmp_path, intensities, oblique_affine, ending):
    save(nib.Nifti1Image(intensities, oblique_affine), tmp_path / f"scan{ending}")
    assert np.array_equal(read(tmp_path / f"scan{ending}").array, intensities)


def test_save_mgz_as_nifti(tmp_path, nibabel_data):
    image = nib.load(nibabel_data / "test.mgz")
    result = nib.load(save(image, tmp_path / "test.nii.gz"))
    assert type(result) is nib.Nifti1Image
    np.testing.assert_allclose(result.get_fdata(), image.get_fdata())


def test_save_writes_the_same_bytes_every_time(tmp_path, scan_path):
    image = nib.load(scan_path)
    first, second = (save(image, tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert first == second


def test_save_over_the_file_an_image_is_read_from(scan_path):
    before = read(scan_path).array
    save(nib.load(scan_path), scan_path)
    assert np.array_equal(read(scan_path).array, before)


@pytest.mark.parametrize("name", ["labels.img", "labels.gz", "labels", "labels.png"])
def test_save_refuses_other_endings(tmp_path, scan_path, name):
    with pytest.raises(VolumeError, match=r"expected a file name that ends in .nii.gz, .nii, .mgz, .mgh"):
        save(nib.load(scan_path), tmp_path / name)


def test_save_refuses_what_mgh_cannot_hold(tmp_path):
    image = nib.Nifti1Image(np.array([[[0, 2**32 - 1]]], np.uint32), np.eye(4))
    with pytest.raises(VolumeError, match="fit into int32, got 0 to 4294967295"):
        save(image, tmp_path / "labels.mgz")
