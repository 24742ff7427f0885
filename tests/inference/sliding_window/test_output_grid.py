import numpy as np
import pytest

from recalib_keras.inference.sliding_window.output_grid import TIE_BREAK, OutputAxis, SameGrid, output_grid
from recalib_keras.volumes import Grid


def weights(positions, size):
    return OutputAxis(positions, size).weights.toarray()


def test_the_same_voxels_take_nothing_from_each_other():
    np.testing.assert_allclose(weights(np.arange(5), 5), np.eye(5), atol=2 * TIE_BREAK)


def test_between_two_voxels_the_nearer_counts_more():
    found = weights([-0.25, 0.25, 0.75, 1.25], 2)
    np.testing.assert_allclose(found, [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], atol=2 * TIE_BREAK)


def test_coarser_voxels_take_the_mean_of_what_they_cover():
    found = weights([0.5, 2.5, 4.5], 6)
    np.testing.assert_allclose(found, np.kron(np.eye(3), [[0.5, 0.5]]), atol=2 * TIE_BREAK)
    np.testing.assert_allclose(weights([1.0, 4.0], 5)[1], [0, 0, 0, 1 / 3, 2 / 3], atol=2 * TIE_BREAK)  # edge continued


@pytest.mark.parametrize("size", [1, 2, 7, 40])
@pytest.mark.parametrize("step", [0.3, 0.5, 1, 1.5, 2, 7])
def test_shares_sum_to_one_and_keep_ramps(size, step):
    axis = OutputAxis(np.arange(0, size, step) - 0.2, size)
    dense = axis.weights.toarray()
    assert dense.shape == (len(axis), size) and axis.weights.dtype == np.float32 and (dense >= 0).all()
    np.testing.assert_allclose(dense.sum(axis=1), 1, rtol=1e-5)
    inner = (axis.positions >= max(1, step / 2)) & (axis.positions <= size - 1 - max(1, step / 2))
    np.testing.assert_allclose(
        (dense @ np.arange(size))[inner], axis.positions[inner], atol=0.01 if step <= 1 else 0.13
    )
    reached = [np.flatnonzero(row) for row in dense]
    assert all(
        np.abs(at - np.clip(place, 0, size - 1)).max() <= axis.margin + TIE_BREAK
        for at, place in zip(reached, axis.positions)
    )


@pytest.mark.parametrize("step", [0.3, 1, 2.5])
@pytest.mark.parametrize("side", [1, 2, 5, 12])
def test_every_voxel_belongs_to_one_range(step, side):
    axis = OutputAxis(np.arange(-0.6, 12.2, step), 12)
    parts = [axis.within(low, min(low + side, 12)) for low in range(0, 12, side)]
    assert np.concatenate([np.arange(len(axis))[part] for part in parts]).tolist() == list(range(len(axis)))


def test_of_grids_in_space(oblique_affine):
    scan = Grid((10, 7, 9), oblique_affine)
    same = output_grid(scan, scan)
    assert isinstance(same, SameGrid) and same.shape == scan.shape
    coarse = scan.resampled(np.array(scan.spacing) * (2, 1, 0.5))
    finer = output_grid(coarse, scan)
    assert [axis.size for axis in finer.axes] == list(coarse.shape) and finer.shape == (10, 7, 9)
    index = np.stack([np.arange(3)] * 3, -1)
    positions = np.stack([axis.positions[:3] for axis in finer.axes], -1)
    in_space = [
        points @ grid.affine[:3, :3].T + grid.affine[:3, 3] for points, grid in ((index, scan), (positions, coarse))
    ]
    np.testing.assert_allclose(*in_space, atol=1e-9)


def test_a_single_slice_takes_the_mean_of_all_that_it_covers():
    thick = np.diag([5.0, 1.0, 1.0, 1.0])
    thick[0, 3] = 2.0  # its middle is that of the five
    axis = output_grid(Grid((5, 4, 4), np.eye(4)), Grid((1, 4, 4), thick)).axes[0]
    np.testing.assert_allclose(axis.weights.toarray(), np.full((1, 5), 0.2), atol=1e-3)


@pytest.mark.parametrize(("low", "high"), [(0, 9), (2, 7), (4, 5), (0, 1), (8, 9)])
@pytest.mark.parametrize("step", [0.4, 1.0, 2.5])
def test_a_part_of_an_axis_is_relative_to_its_range(low, high, step):
    axis = OutputAxis(np.arange(-0.7, 9.4, step), 9)
    part = axis.part(low, high)
    inner = np.zeros(9, bool)
    inner[low:high] = True
    own = axis.weights.toarray()[axis.within(low, high)]
    assert part.size == high - low and len(part) == len(own) and part.margin == axis.margin
    for row, of_all in zip(part.weights.toarray(), own):
        if not of_all[~inner].any():  # nothing of it lies beyond the range
            np.testing.assert_allclose(row, of_all[low:high], atol=1e-6)
        assert row.sum() == pytest.approx(1, rel=1e-5)
