import logging

import nibabel as nib
import numpy as np
import pytest
from scans_on_disk import mgh, refused, stored
from scipy import io

from recalib_keras.volumes import Grid, ScanWarning, VolumeError, label_image, read, read_labels, save
from recalib_keras.volumes.placement import check_extent

# nibabel leaves a plain .mgh file open when it reads the header.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

ZEROS = dict.fromkeys(("srow_x", "srow_y", "srow_z"), 0)


def rotated(angle, spacing=(1.0, 1.5, 2.0)):
    """Return an affine turned by `angle` (rad) about the axis from foot to head."""
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] = affine[:3, :3] @ np.diag(spacing)
    affine[:3, 3] = (40, -30, 12)
    return affine


# Headers that do not place their voxels


@pytest.mark.parametrize("size", [0, -1, np.nan, np.inf])
@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("sform", [0, 2])
def test_voxel_size(tmp_path, size, axis, sform):
    def edit(header):
        header["pixdim"][axis] = size
        header["sform_code"], header["qform_code"] = sform, 1

    path = stored(tmp_path / "scan.nii", edit=edit)
    if sform == 0:
        refused("expected three positive voxel sizes", path)
        return
    with pytest.warns(ScanWarning, match=r"voxel sizes in the header are not positive numbers .*; the sform is used"):
        volume = read(path)
    assert np.array_equal(volume.grid.affine, np.eye(4))
    labels = label_image(np.zeros(volume.grid.shape, int), volume)
    assert (labels.header["qform_code"], labels.header["sform_code"]) == (0, 2)
    assert np.array_equal(labels.header["pixdim"][1:4], [1, 1, 1])


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
    refused(
        "a rotation in the qform.*got a damaged one",
        stored(tmp_path / "scan.nii", sform_code=0, qform_code=1, quatern_b=np.nan),
    )
    refused(
        "a rotation in the qform.*got a damaged one",
        stored(tmp_path / "scan.nii", sform_code=0, qform_code=1, quatern_b=5),
    )


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
@pytest.mark.parametrize("size", [0, 2.5])
def test_mgh_without_valid_geometry_warns_and_stands_where_nibabel_has_it(tmp_path, name, size):
    mgh(tmp_path / name, goodRASFlag=0, delta=size)
    with pytest.warns(UserWarning, match=r"goodRASFlag 0.*left and right.*uncertain.*voxels of 1 mm.*LSP") as caught:
        volume = read(tmp_path / name)
    assert np.array_equal(volume.grid.affine, nib.load(tmp_path / name).affine)
    assert np.array_equal(volume.grid.affine, [[-1, 0, 0, 2.5], [0, 0, -1, 1.5], [0, 1, 0, -2], [0, 0, 0, 1]])
    assert [warning.filename for warning in caught if warning.category is ScanWarning] == [__file__]


@pytest.mark.parametrize("name", ["scan.mgh", "scan.mgz"])
def test_mgh_counts_any_flag_but_0_as_valid_as_nibabel_does(tmp_path, name):
    mgh(tmp_path / name, goodRASFlag=-1, delta=2.5)
    volume = read(tmp_path / name)
    assert np.array_equal(volume.grid.affine, nib.load(tmp_path / name).affine)
    assert volume.grid.spacing == (2.5, 2.5, 2.5)


def test_an_unknown_unit_means_millimetres(tmp_path):
    assert read(stored(tmp_path / "scan.nii", xyzt_units=7)).grid.spacing == (1, 1, 1)


def test_bad_headers_say_nothing_besides_the_error(tmp_path, capfd, caplog):
    refused("voxel sizes", stored(tmp_path / "scan.nii", pixdim=[1, 0, -1, 0, 0, 0, 0, 0], qform_code=1, sform_code=0))
    refused("one of another format", stored(tmp_path / "scan.nii", datatype=9999))
    read(stored(tmp_path / "scan.nii", qform_code=9))
    assert capfd.readouterr().err == "" and not caplog.records
    assert not logging.getLogger("nibabel.global").filters


# One of qform and sform is whole


def quaternion(path, b, c, d, **fields):
    return stored(path, sform_code=0, qform_code=1, quatern_b=b, quatern_c=c, quatern_d=d, **fields)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("excess", [1.2e-6, 1e-5, 4e-4])
def test_a_quaternion_a_hair_too_long_is_scaled_to_length_1(tmp_path, name, excess):
    path = quaternion(tmp_path / "scan.nii", 0, 1 + excess, 0)
    if name.endswith("gz"):
        path.rename(tmp_path / "plain")
        import gzip

        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    volume = read(tmp_path / name)
    np.testing.assert_array_equal(volume.grid.affine, np.diag([-1.0, 1, -1, 1]))
    labels = save(label_image(np.zeros(volume.grid.shape, int), volume), tmp_path / "labels.nii")
    np.testing.assert_array_equal(nib.load(labels).affine, volume.grid.affine)  # nibabel reads it


def test_a_scaled_quaternion_keeps_its_direction(tmp_path):
    b, c, d = np.array([0.6, 0.64, 0.48]) * (1 + 1e-4)
    affine = read(quaternion(tmp_path / "scan.nii", b, c, d)).grid.affine
    expected = nib.quaternions.quat2mat([0, 0.6, 0.64, 0.48])
    np.testing.assert_allclose(affine[:3, :3], expected, atol=1e-3)


def test_a_quaternion_that_nibabel_accepts_is_left_alone(tmp_path):
    path = quaternion(tmp_path / "scan.nii", 0.5, 0.5, 0.5)
    assert np.array_equal(read(path).grid.affine, nib.load(path).affine)
    assert read(path).header["quatern_b"] == 0.5


def test_an_sform_of_zeros_beside_a_whole_qform(tmp_path):
    affine = rotated(0.3)
    path = stored(tmp_path / "scan.nii", affine=affine, sform_code=2, qform_code=1, **ZEROS)
    with pytest.warns(
        ScanWarning, match=r"the sform is damaged \(singular or not finite\); the qform is used"
    ) as caught:
        volume = read(path)
    assert caught[0].filename == __file__ and len(caught) == 1
    np.testing.assert_allclose(volume.grid.affine, affine, atol=1e-5)
    labels = save(label_image(np.zeros(volume.grid.shape, int), volume), tmp_path / "labels.nii")
    assert read_labels(labels).grid.matches(volume.grid)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_sform_of_no_numbers_beside_a_whole_qform(tmp_path, value):
    path = stored(tmp_path / "scan.nii", sform_code=1, qform_code=1, srow_x=[1, 0, 0, value])
    with pytest.warns(ScanWarning, match="the sform is damaged"):
        assert np.array_equal(read(path).grid.affine, np.eye(4))


@pytest.mark.parametrize("fields", [{"quatern_b": 5}, {"quatern_c": np.nan}, {"qoffset_x": np.inf}])
def test_a_damaged_qform_beside_a_whole_sform(tmp_path, fields):
    path = stored(tmp_path / "scan.nii", sform_code=1, qform_code=1, **fields)
    with pytest.warns(ScanWarning, match="the qform is damaged; the sform is used") as caught:
        volume = read(path)
    assert len(caught) == 1 and np.array_equal(volume.grid.affine, np.eye(4))
    assert label_image(np.zeros(volume.grid.shape, int), volume).header["qform_code"] == 0


@pytest.mark.parametrize("fields", [{"quatern_b": 5}, {"pixdim": [1, 0, 1, 1, 1, 1, 1, 1]}, {"qoffset_x": np.nan}])
def test_both_damaged(tmp_path, fields):
    refused("singular", stored(tmp_path / "scan.nii", sform_code=1, qform_code=1, **ZEROS, **fields))


def test_voxel_sizes_that_nothing_uses_are_no_matter_of_the_mat_file(tmp_path):
    affine = analyze(tmp_path / "scan.img")
    data = bytearray((tmp_path / "scan.hdr").read_bytes())
    data[80:84] = np.float32(-1).tobytes()
    (tmp_path / "scan.hdr").write_bytes(data)
    np.testing.assert_allclose(read(tmp_path / "scan.img").grid.affine, affine)


# Qform and sform disagree


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_mirrored_sform_warns_with_both_orientations(tmp_path, suffix):
    image = nib.Nifti1Image(np.arange(20 * 24 * 20, dtype=np.float32).reshape(20, 24, 20), np.eye(4))
    image.set_qform(np.diag([-1.0, 1, 1, 1]), 1)
    mirrored = np.eye(4)
    mirrored[0, 3] = -19
    image.set_sform(mirrored, 1)
    nib.save(image, tmp_path / f"scan{suffix}")
    expected = (
        "qform and sform disagree by up to 19 mm, most of it left-right: the axes are LAS in the qform and RAS in the "
        "sform; the sform is used"
    )
    for source in (tmp_path / f"scan{suffix}", image, nib.load(tmp_path / f"scan{suffix}")):
        with pytest.warns(ScanWarning, match=expected) as caught:
            volume = read(source)
        assert volume.grid.orientation == "RAS" and len(caught) == 1 and caught[0].filename == __file__
    assert str(caught[0].message).startswith(f"{tmp_path / 'scan'}{suffix}: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"srow_z": [0, 0, 1, 3]}, "by up to 3 mm, most of it foot-head: the axes are RAS in the qform and RAS"),
        ({"srow_y": [0, 1, 0, -0.6]}, "by up to 0.6 mm, most of it back-front"),
        ({"srow_x": [1.5, 0, 0, 0]}, "by up to 2 mm, most of it left-right"),
    ],
)
def test_other_disagreements_in_millimetres(tmp_path, change, words):
    path = stored(tmp_path / "scan.nii", qform_code=1, sform_code=1, **change)
    with pytest.warns(ScanWarning, match=words):
        read(path)


def test_a_disagreement_in_another_unit_is_reported_in_millimetres(tmp_path):
    affine = np.diag([1e3, 1e3, 1e3, 1])
    path = stored(
        tmp_path / "scan.nii", affine=affine, qform_code=1, sform_code=1, xyzt_units=3, srow_z=[0, 0, 1e3, 3e3]
    )
    with pytest.warns(ScanWarning, match="by up to 3 mm"):
        assert read(path).grid.spacing == (1, 1, 1)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.0, np.pi / 2, np.pi - 1e-3, np.pi - 1e-4, np.pi, 3.5])
def test_rounding_is_no_disagreement(tmp_path, angle):
    affine = rotated(angle, (1.0, 1.0, 1.2))
    image = nib.Nifti1Image(np.zeros((256, 256, 2), np.uint8), affine)
    image.set_qform(affine, 1)
    image.set_sform(np.round(affine, 3), 1)
    nib.save(image, tmp_path / "scan.nii")
    read_labels(tmp_path / "scan.nii")  # warnings are errors here


@pytest.mark.parametrize(("qform_code", "sform_code"), [(0, 1), (1, 0), (0, 2), (1, 4), (1, 3), (2, 4)])
def test_what_is_not_in_use_or_of_another_space_may_differ(tmp_path, qform_code, sform_code):
    path = stored(tmp_path / "scan.nii", qform_code=qform_code, sform_code=sform_code, srow_y=[0, 1, 0, -20])
    read(path)


def test_a_mirrored_standard_space_warns_all_the_same(tmp_path):
    with pytest.warns(ScanWarning, match="the axes are RAS in the qform and LAS in the sform"):
        read(stored(tmp_path / "scan.nii", qform_code=1, sform_code=4, srow_x=[-1, 0, 0, 4]))


# Voxels and extents that no scan has


@pytest.mark.parametrize("size", [1e-42, 1e-6, 0.009, 30.5, 100, 5000])
@pytest.mark.parametrize("reader", [read, read_labels])
@pytest.mark.parametrize("axis", [0, 2])
def test_voxels_of_impossible_size(tmp_path, size, reader, axis):
    def edit(header):
        header["pixdim"][1 + axis] = size
        header["sform_code"], header["qform_code"] = 0, 1

    refused("expected voxels of 0.01 to 30 mm, got", stored(tmp_path / "scan.nii", edit=edit), reader=reader)


@pytest.mark.parametrize("size", [0.0101, 29.9])
def test_voxels_of_possible_size(tmp_path, size):
    assert read(stored(tmp_path / "scan.nii", affine=np.diag([size, 1, 1, 1]))).grid.spacing[0] == pytest.approx(size)


def test_the_unit_counts(tmp_path):
    path = stored(tmp_path / "scan.nii", affine=np.diag([0.001, 0.002, 0.001, 1]), xyzt_units=1)  # meters
    assert read(path).grid.spacing == pytest.approx((1, 2, 1))
    refused(
        "expected voxels of 0.01 to 30 mm", stored(tmp_path / "scan.nii", affine=np.diag([1.0, 2, 1, 1]), xyzt_units=1)
    )


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.MGHImage, nib.Spm99AnalyzeImage])
def test_sizes_of_every_format_are_checked(tmp_path, image_class):
    image = image_class(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.diag([-100.0, 100, 100, 1]))
    refused("got 100 x 100 x 100 mm; correct the voxel size in the header", image)


def test_a_scan_of_many_metres(tmp_path):
    nib.save(nib.Nifti1Image(np.arange(32767, dtype=np.int16).reshape(1, 1, -1), np.eye(4)), tmp_path / "scan.nii")
    refused("expected a scan of at most 5 m, got one of 1 x 1 x 32,767 mm", tmp_path / "scan.nii")


def test_check_extent_takes_what_scanners_make():
    for shape, spacing in [
        ((512, 512, 1200), (0.98, 0.98, 1.5)),
        ((1024, 1024, 800), (0.05,) * 3),
        ((1, 1, 1), (30,) * 3),
    ]:
        check_extent(Grid(shape, np.diag([*spacing, 1])))
    with pytest.raises(VolumeError, match="expected a scan of at most 5 m"):
        check_extent(Grid((512, 512, 5100), np.eye(4)))
