import numpy as np
import pytest

from recalib_keras.evaluation.figures.slice_choice import choose_slices, surroundings


@pytest.fixture
def labels():
    """Along x: a ball-like 1 with areas 4, 16, 36, 16, 4 in slices 2 to 6, and a 2 of one voxel in slices 6 and 7."""
    array = np.zeros((10, 8, 8), np.int16)
    for place, side in zip(range(2, 7), (2, 4, 6, 4, 2)):
        array[place, :side, :side] = 1
    array[6:8, 7, 7] = 2
    return array


def test_one_structure_is_cut_where_it_is_largest(labels):
    assert choose_slices(labels, [1], axis=0) == [4]


def test_a_small_structure_counts_as_much_as_a_large_one(labels):
    # Shares of 1: 1/9, 4/9, 1, 4/9, 1/9; of 2: 1 in slices 6 and 7. Slice 6 has 1 + 1/9, more than any other.
    assert choose_slices(labels, [1, 2], axis=0) == [6]


def test_of_equal_slices_the_middle_one_is_chosen():
    labels = np.zeros((9, 4, 4), int)
    labels[1:8] = 3
    assert choose_slices(labels, [3], axis=0) == [4]


def test_several_slices_have_equal_parts_of_what_is_to_be_seen():
    labels = np.zeros((4, 100, 4), int)
    labels[:, 20:60] = 5
    assert choose_slices(labels, [5], axis=1, count=4) == [24, 34, 44, 54]
    labels[:, 60:80, 0] = 5  # a quarter of the area: 20 slices count as much as 5
    assert choose_slices(labels, [5], axis=1, count=3) == [27, 42, 57]


def test_no_more_slices_than_cut_a_structure(labels):
    assert choose_slices(labels, [2], axis=0, count=5) == [6, 7]


@pytest.mark.parametrize("ids", [[], [7]])
def test_without_structures_slices_are_spread_evenly(labels, ids):
    assert choose_slices(labels, ids, axis=0) in ([4], [5])
    assert choose_slices(labels, ids, axis=0, count=5) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("occupied", "spacing", "expected"),
    [
        ([], 1.0, (0, 100)),
        ([50], 1.0, (40, 61)),  # 10 mm on either side
        ([50], 5.0, (48, 53)),  # 2 voxels of 5 mm
        ([3, 97], 1.0, (0, 100)),
    ],
)
def test_surroundings(occupied, spacing, expected):
    mask = np.isin(np.arange(100), occupied)
    part = surroundings(mask, spacing, context=10.0, smallest=12.0)
    assert (part.start, part.stop) == expected


def test_surroundings_of_a_small_structure_are_filled_up():
    part = surroundings(np.arange(100) == 50, 1.0, context=1.0, smallest=31.0)
    assert part.stop - part.start == 31
