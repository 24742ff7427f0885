import numpy as np
import pytest

from recalib_keras.core import memory
from recalib_keras.volumes import Grid, Volume, VolumeError, read, read_labels, resampling


def test_conform_turns_exactly(intensities, oblique_affine):
    volume = Volume(intensities, Grid(intensities.shape, oblique_affine), header="header", source="source")
    turned = volume.conform("LIA")
    assert turned.grid.orientation == "LIA"
    assert (turned.header, turned.source) == ("header", "source")
    assert np.array_equal(np.sort(turned.array, axis=None), np.sort(intensities, axis=None))
    assert np.array_equal(turned.on(volume.grid).array, intensities)


def test_conform_counts_spacing_along_the_new_axes():
    volume = Volume(np.zeros((4, 6, 8), np.float32), Grid((4, 6, 8), np.eye(4)))
    assert volume.conform("SAR", spacing=(2, 1, 1)).array.shape == (4, 6, 4)


def test_conform_of_labels_makes_no_new_ones(rng):
    grid = Grid((9, 8, 7), np.diag([1.0, 1.2, 3.0, 1.0]))
    labels = Volume(rng.choice([0, 2, 41], grid.shape), grid)
    conformed = labels.conform("RAS", spacing=1.0, order=0)
    assert set(np.unique(conformed.array)) == {0, 2, 41}


def test_refuses_an_array_off_its_grid():
    with pytest.raises(VolumeError, match=r"expected an array of the grid's shape \(2, 3, 4\), got \(4, 3, 2\)"):
        Volume(np.zeros((4, 3, 2)), Grid((2, 3, 4), np.eye(4)))


@pytest.mark.parametrize("code", ["RAS", "LAS", "SAR", "IPL", "PIR"])
def test_labels_stored_with_other_axes_are_turned_exactly(code, rng, oblique_affine):
    grid = Grid((6, 5, 4), oblique_affine)
    labels = Volume(rng.integers(0, 50, grid.shape).astype(np.uint8), grid, header="header", source="source")
    rounded = labels.conform(code, order=0)
    rounded = Volume(rounded.array, Grid(rounded.grid.shape, np.round(rounded.grid.affine, 2)), "header", "source")
    aligned = rounded.aligned(grid)
    assert aligned.grid is grid and (aligned.header, aligned.source) == ("header", "source")
    assert np.array_equal(aligned.array, labels.array) and aligned.array.dtype == np.uint8


def test_labels_on_the_grid_of_their_scan_are_not_copied(intensities, oblique_affine):
    labels = Volume(intensities, Grid(intensities.shape, oblique_affine))
    grid = Grid(intensities.shape, np.round(oblique_affine, 3))
    assert labels.aligned(grid).array is intensities and labels.aligned(grid).grid is grid


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_half_a_voxel_is_refused_in_millimetres(flip):
    affine = np.diag([flip, 1, 1, 1])
    affine[0, 3] = (3 if flip < 0 else 0) + 0.5
    labels = Volume(np.zeros((4, 5, 6)), Grid((4, 5, 6), affine), source="labels.nii")
    with pytest.raises(VolumeError, match=r"got voxels up to 0.5 mm elsewhere; resample it there") as caught:
        labels.aligned(Grid((4, 5, 6), np.eye(4)))
    assert str(caught.value).startswith("labels.nii: expected the grid of its scan, 4 x 5 x 6 voxels of 1 x 1 x 1 mm")
    assert "[" not in str(caught.value) and caught.value.file == "labels.nii"


def test_another_shape_is_refused_in_words():
    labels = Volume(np.zeros((4, 5, 6)), Grid((4, 5, 6), np.eye(4)))
    with pytest.raises(VolumeError, match=r"expected the grid of the ground truth, 4 x 5 x 7 .* got one of 4 x 5 x 6"):
        labels.aligned(Grid((4, 5, 7), np.eye(4)), "the ground truth")


def test_a_resampling_beyond_memory_is_refused_before_it_starts(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    scan = Volume(np.zeros((100, 100, 100), np.uint8), Grid((100,) * 3, np.diag([12.0, 12, 12, 1])), source="scan.nii")
    expected = (
        r"^scan.nii: expected room for 1200 x 1200 x 1200 voxels of 1 x 1 x 1 mm, RAS, resampled from voxels of "
        r"12 x 12 x 12 mm, got too little memory \(6.4 GiB needed, 1.0 GiB free\); check the scan's voxel size"
    )
    with pytest.raises(VolumeError, match=expected):
        scan.conform("RAS", 1.0)
    assert scan.conform("RAS", 6.0).array.shape == (200, 200, 200)
    with pytest.raises(VolumeError, match=r"\(1.6 GiB needed"):  # the nearest voxel keeps a byte each
        scan.conform("RAS", 1.0, order=0)


def test_a_memory_error_inside_a_resampling_is_one_line(monkeypatch):
    def exhausted(*_):
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(resampling, "_in_parts", exhausted)
    scan = Volume(np.zeros((4, 4, 4)), Grid((4, 4, 4), np.eye(4)))
    with pytest.raises(VolumeError, match=r"expected room for 8 x 8 x 8 voxels .* got too little memory") as caught:
        scan.conform("RAS", 0.5)
    assert "\n" not in str(caught.value)


def test_real_labels_return_to_their_own_grid(data_root):
    path = min((data_root / "hippocampus" / "labelsTr").glob("*.nii.gz"))
    labels = read_labels(path)
    fine = labels.conform("LIA", spacing=0.5, order=0)
    assert np.array_equal(fine.on(labels.grid, order=0).array, labels.array)


def test_real_ct_keeps_the_volume_of_its_organs(data_root):
    labels = read_labels(data_root / "ct_example" / "example_seg.nii.gz")
    scan = read(data_root / "ct_example" / "example_ct_sm.nii.gz")
    assert scan.grid.matches(labels.grid)
    coarse = labels.conform("RAS", spacing=4.0, order=0)
    counts = np.bincount(labels.array.ravel())
    for label in np.argsort(counts[1:])[-3:] + 1:
        before = counts[label] * labels.grid.voxel_volume
        after = np.count_nonzero(coarse.array == label) * coarse.grid.voxel_volume
        assert after == pytest.approx(before, rel=0.1)
