from types import SimpleNamespace

import numpy as np
import pytest

from recalib_keras.evaluation.volumetry import asymmetry, share_at_edge, structure_volumes
from recalib_keras.volumes import Grid


def structure(number, name, mirror=None):
    return SimpleNamespace(id=number, name=name, mirror=mirror)


PAIR = (structure(3, "left lung", mirror=4), structure(4, "right lung", mirror=3), structure(9, "heart"))


def measured(counts, structures, spacing=(1.0, 1.0, 2.0)):
    """Returns the volumes in a label map with this many voxels of each number."""
    labels = np.repeat(list(counts), list(counts.values())).reshape(1, 1, -1)
    return structure_volumes(labels, Grid(labels.shape, np.diag([*spacing, 1])), structures)


def test_volumes_and_shares_by_hand():
    left, right, heart = measured({0: 11, 3: 6, 4: 3, 9: 1, 77: 5}, PAIR)
    assert [(s.name, s.label, s.voxels, s.cubic_millimetres) for s in (left, right, heart)] == [
        ("left lung", 3, 6, 12.0),
        ("right lung", 4, 3, 6.0),
        ("heart", 9, 1, 2.0),
    ]
    assert [s.percent_of_total for s in (left, right, heart)] == [60, 30, 10]  # 77 is not a structure
    assert [s.asymmetry_percent for s in (left, right, heart)] == [pytest.approx(200 / 3), pytest.approx(200 / 3), None]


def test_volumes_without_voxels():
    volumes = measured({0: 5}, PAIR)
    assert [(s.voxels, s.percent_of_total, s.asymmetry_percent) for s in volumes] == [(0, None, None)] * 3


@pytest.mark.parametrize(
    ("left", "right", "expected"), [(2, 2, 0), (3, 1, 100), (1, 3, -100), (5, 0, 200), (0, 0, None)]
)
def test_asymmetry_by_hand(left, right, expected):
    assert asymmetry(left, right) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("left lung", "right lung"), 100),
        (("right lung", "left lung"), -100),
        (("Left-Lung", "Right-Lung"), 100),
        (("lung_right", "lung_left"), -100),
        (("lung (left)", "lung (right)"), 100),
        (("lung 1", "lung 2"), None),
        (("left lung", "lung"), None),
        (("left lung", "left lung, cleft"), None),
        (("leftmost", "rightmost"), None),
        (("left and right", "right"), None),
    ],
)
def test_sides_are_read_from_names(names, expected):
    pair = [structure(1, names[0], mirror=2), structure(2, names[1], mirror=1)]
    assert [s.asymmetry_percent for s in measured({1: 3, 2: 1}, pair)] == [expected] * 2


@pytest.mark.parametrize("mirror", [None, 5])
def test_without_a_counterpart_there_is_no_asymmetry(mirror):
    (alone,) = measured({1: 3}, [structure(1, "left lung", mirror)])
    assert alone.asymmetry_percent is None


def test_structures_need_no_mirror():
    (alone,) = measured({1: 3}, [SimpleNamespace(id=1, name="lung")])
    assert (alone.voxels, alone.asymmetry_percent) == (3, None)


@pytest.mark.parametrize(("axis", "area"), [(0, 6 * 12), (1, 3 * 12), (2, 3 * 6)])
def test_share_of_the_surface_at_the_edge_by_hand(axis, area):
    """A box of 2 × 3 × 4 voxels of 1.5 × 2 × 3 mm has sides of 3 × 6 × 12 mm; one of its six faces is at the edge."""
    for end in (0, -1):
        labels = np.zeros((6, 7, 9), int)
        place = [slice(2, 4), slice(2, 5), slice(2, 6)]
        place[axis] = slice(0, place[axis].stop - 2) if end == 0 else slice(2 - place[axis].stop, None)
        labels[tuple(place)] = 3
        labels[(*place[:2], place[2].start)] = 9  # all structures count as one
        share = share_at_edge(labels, Grid(labels.shape, np.diag([1.5, 2, 3, 1])), PAIR)
        assert share == pytest.approx(area / (2 * (3 * 6 + 6 * 12 + 3 * 12)))


def test_all_of_the_surface_or_none_is_at_the_edge():
    grid = Grid((4, 4, 4), np.eye(4))
    assert share_at_edge(np.full((4, 4, 4), 9), grid, PAIR) == 1
    assert share_at_edge(np.zeros((4, 4, 4), int), grid, PAIR) == 0
    assert share_at_edge(np.full((4, 4, 4), 77), grid, PAIR) == 0  # no structure
    inside = np.zeros((4, 4, 4), int)
    inside[1:3, 1:3, 1:3] = 9
    assert share_at_edge(inside, grid, PAIR) == 0
