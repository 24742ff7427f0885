from itertools import permutations, product

import numpy as np
import pytest

from recalib_keras import volumes
from recalib_keras.inference.preprocessing import PreprocessedScan
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input

ORIENTATIONS = ["".join(code) for axes in product("LR", "PA", "IS") for code in permutations(axes)]


@pytest.fixture
def scan():
    array = np.random.default_rng(0).normal(40, 300, (7, 5, 6)).astype("float32")
    affine = np.diag([-1.0, 1.5, 2.0, 1.0])
    affine[:3, 3] = 3, -20, 8
    return Volume(array, Grid(array.shape, affine))


def by_hand(scan, expects):
    return volumes.normalize(scan.conform(expects.orientation, expects.spacing).array, expects.normalization)


@pytest.mark.parametrize("method", volumes.METHODS)
def test_slices_are_those_of_the_whole_scan_conformed(method, scan):
    for orientation in ORIENTATIONS:
        expects = Input((4, 4, 4), orientation, normalization=method)
        image, expected = PreprocessedScan(scan, expects), by_hand(scan, expects)
        assert image.shape == expected.shape and image.grid.matches(scan.grid.oriented(orientation))
        part = image[1:4, 0:3, 2:5]
        assert part.dtype == np.float32 and np.array_equal(part, expected[1:4, 0:3, 2:5]), orientation


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.5, 1.0), (3.0, 3.0, 3.0)])
def test_a_scan_of_other_spacing_is_resampled(spacing, scan):
    expects = Input((4, 4, 4), "SAR", spacing)
    image, expected = PreprocessedScan(scan, expects), by_hand(scan, expects)
    assert image.shape == expected.shape and np.array_equal(image[:, 1:, :2], expected[:, 1:, :2])


def test_a_scan_that_is_only_turned_is_not_copied(scan):
    turned = PreprocessedScan(scan, Input((4, 4, 4), "SAR", scan.conform("SAR").grid.spacing, "none"))
    scan.array[:] = 5
    assert np.array_equal(turned[:, :, :], np.full((6, 5, 7), 5))
