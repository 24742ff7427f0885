from itertools import permutations, product

import numpy as np
import pytest

from recalib_keras import volumes
from recalib_keras.inference.preprocessing import PreprocessedScan
from recalib_keras.volumes import Grid, ScanWarning, Volume
from recalib_keras.zoo import Input
from recalib_keras.zoo.preprocessing import preprocessed

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


def tilted(scan, degrees):
    """Returns the voxels of a scan on axes that are turned about x."""
    angle, affine = np.deg2rad(degrees), scan.grid.affine.copy()
    turn = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    affine[:3, :3] = turn @ affine[:3, :3]
    return Volume(scan.array, Grid(scan.grid.shape, affine))


@pytest.mark.parametrize("method", volumes.METHODS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.5, 1.0)])
def test_a_scan_that_is_tilted_a_little_keeps_its_axes(spacing, method, scan):
    expects, little = Input((4, 4, 4), "SAR", spacing, method), tilted(scan, 4.9)
    image = PreprocessedScan(little, expects)
    grid = little.grid.oriented("SAR").resampled(spacing)
    assert image.grid.matches(grid, tolerance=0)
    assert np.array_equal(image[:, :, :], volumes.normalize(little.on(grid).array, method))


@pytest.mark.parametrize("method", volumes.METHODS)
def test_an_oblique_scan_is_resampled_to_the_axes_of_the_world(method, scan):
    expects, oblique = Input((4, 4, 4), "SAR", (1.0, 1.0, 1.0), method), tilted(scan, 30)
    image = PreprocessedScan(oblique, expects)
    assert image.grid.tilt == 0 and image.grid.orientation == "SAR" and image.oriented.shape == (6, 5, 7)
    own = volumes.normalizer(scan.array, method)  # the corners around the scan do not count
    assert np.array_equal(image[:, :, :], own(oblique.on(image.grid).array))
    whole = preprocessed(oblique, expects)
    assert np.array_equal(whole.array, image[:, :, :]) and whole.grid.matches(image.grid)


@pytest.mark.parametrize("prepare", [PreprocessedScan, preprocessed])
def test_an_oblique_scan_that_keeps_its_voxels_gets_a_warning(prepare, scan):
    with pytest.warns(ScanWarning, match=r"tilted by 30 degrees; the network sees it tilted") as caught:
        image = prepare(tilted(scan, 30), Input((4, 4, 4), "SAR"))
    assert caught[0].filename == __file__ and image.grid.tilt == pytest.approx(30)


@pytest.mark.parametrize("method", volumes.METHODS)
def test_the_whole_scan_is_prepared_like_its_slices(method, scan):
    for expects in (Input((4, 4, 4), "SAR", None, method), Input((4, 4, 4), "LIA", (2.0, 1.5, 1.0), method)):
        whole, image = preprocessed(scan, expects), PreprocessedScan(scan, expects)
        assert np.array_equal(whole.array, image[:, :, :]) and whole.grid.matches(image.grid)
