import numpy as np
import pytest

from recalib_keras.volumes import Grid, Volume, VolumeError, read, read_labels


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
