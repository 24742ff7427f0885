import numpy as np
import pytest

from recalib_keras.inference.sliding_window.aggregator import partition
from recalib_keras.volumes.windows import WindowGrid


def voxels_of(block):
    return np.prod([high - low for low, high in block])


def predicted(blocks, grid):
    return sum(len(grid.places(block)) for block in blocks)


@pytest.mark.parametrize("memory", [1, 500, 5_000, 50_000])
def test_blocks_cover_the_volume_once(memory):
    shape = (13, 9, 11)
    seen = np.zeros(shape, int)
    for block in partition(shape, [WindowGrid(shape, (4, 4, 4))], 3, memory):
        seen[tuple(slice(low, high) for low, high in block)] += 1
    assert (seen == 1).all()


def test_one_block_where_the_rows_of_a_window_fit():
    shape, grid = (100, 9, 11), WindowGrid((100, 9, 11), (4, 4, 4))
    needed = 4 * 3 * (4 * 9 * 11)  # float32, classes, the voxels of 4 rows
    assert partition(shape, [grid], 3, needed) == [((0, 100), (0, 9), (0, 11))]
    assert len(partition(shape, [grid], 3, needed - 1)) > 1


@pytest.mark.parametrize("memory", [600, 2_000, 10_000])
def test_blocks_fit_into_the_memory(memory):
    shape, grid = (20, 16, 16), WindowGrid((20, 16, 16), (4, 4, 4))
    for (first, last), *across in partition(shape, [grid], 5, memory):
        rows = min(4, last - first)
        assert 4 * 5 * rows * np.prod([high - low for low, high in across]) <= memory


def test_single_voxels_where_nothing_fits():
    blocks = partition((2, 3, 2), [WindowGrid((2, 3, 2), (2, 2, 2))], 3, 1)
    assert len(blocks) == 12 and all(voxels_of(block) == 1 for block in blocks)


def test_as_few_windows_as_possible_are_predicted_twice():
    """Slices through the whole of the last two axes are predicted once if the volume is cut across the first."""
    shape = (8, 16, 16)
    grid = WindowGrid(shape, (1, 16, 16))
    blocks = partition(shape, [grid], 2, 4 * 2 * 16 * 16)
    assert predicted(blocks, grid) == 8
    # Half of that memory: each slice has to be predicted twice at least, and is.
    assert predicted(partition(shape, [grid], 2, 4 * 2 * 16 * 8), grid) == 16


def test_the_largest_window_of_all_views_sets_the_rows_that_wait():
    shape = (8, 8, 8)
    slices = [WindowGrid(shape, window) for window in ((1, 8, 8), (8, 1, 8), (8, 8, 1))]
    whole = 4 * 2 * 8**3
    assert len(partition(shape, slices, 2, whole)) == 1
    assert len(partition(shape, slices, 2, whole - 1)) == 2
    assert len(partition(shape, slices[:1], 2, whole // 8)) == 1
