from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from recalib_keras.volumes import Grid, VolumeError, resample, resampling

ORIENTATIONS = ["".join(code) for axes in product("LR", "PA", "IS") for code in permutations(axes)]


def ball(grid, radius, centre):
    """Mark the voxels within `radius` mm of the place `centre` (mm)."""
    index = np.indices(grid.shape).reshape(3, -1)
    places = grid.affine[:3, :3] @ index + grid.affine[:3, 3:]
    return (np.linalg.norm(places - np.array(centre)[:, None], axis=0) <= radius).reshape(grid.shape)


def ramp(grid):
    """Return a field that grows linearly in space: linear interpolation must reproduce it."""
    index = np.indices(grid.shape).reshape(3, -1)
    places = grid.affine[:3, :3] @ index + grid.affine[:3, 3:]
    return (np.array([1.0, 2.0, -3.0]) @ places).reshape(grid.shape)


def inner(array, rim=2):
    return array[rim:-rim, rim:-rim, rim:-rim]


@pytest.mark.parametrize("code", ORIENTATIONS)
@pytest.mark.parametrize("order", [0, 1])
def test_turning_is_exact_and_keeps_places(code, order, rng, oblique_affine):
    source = Grid((6, 5, 4), oblique_affine)
    array = rng.integers(0, 1000, source.shape).astype(np.int16)
    target = source.oriented(code)
    turned = resample(array, source, target, order)
    assert turned.dtype == array.dtype and turned.flags.c_contiguous
    for voxel in [(0, 0, 0), (5, 1, 3), (2, 4, 0)]:
        place = source.affine @ [*voxel, 1]
        there = np.rint(np.linalg.solve(target.affine, place)).astype(int)[:3]
        assert turned[tuple(there)] == array[voxel]
    assert np.array_equal(resample(turned, target, source, order), array)


def test_turning_agrees_with_nibabel(rng, oblique_affine):
    image = nib.Nifti1Image(rng.normal(size=(6, 5, 4)), oblique_affine)
    canonical = nib.as_closest_canonical(image)
    source = Grid(image.shape, image.affine)
    target = source.oriented("RAS")
    np.testing.assert_allclose(target.affine, canonical.affine)
    assert np.array_equal(resample(image.get_fdata(), source, target), canonical.get_fdata())


@pytest.mark.parametrize("spacing", [0.7, 1.3, (2.0, 0.5, 1.0)])
@pytest.mark.parametrize("code", ["RAS", "LIA", "SPR"])
def test_linear_reproduces_a_linear_field(spacing, code):
    source = Grid((24, 20, 22), np.diag([-1.0, 1.2, 0.9, 1.0])).oriented(code)
    target = source.oriented("RAS").resampled(spacing)
    moved = resample(ramp(source), source, target)
    assert moved.dtype == np.float32 and moved.flags.c_contiguous
    # Away from the rim, where the edge is continued and the smoothing sees it.
    np.testing.assert_allclose(inner(moved, 4), inner(ramp(target), 4), atol=2e-3)


def test_linear_reproduces_a_linear_field_across_a_rotation(oblique_affine):
    source = Grid((40, 30, 30), np.diag([1.0, 1.0, 1.0, 1.0]))
    affine = oblique_affine.copy()
    affine[:3, 3] = (22, 8, 8)
    target = Grid((8, 8, 7), affine)
    np.testing.assert_allclose(resample(ramp(source), source, target), ramp(target), atol=2e-3)


def test_the_separable_path_agrees_with_scipy(rng):
    from scipy import ndimage

    source = Grid((12, 11, 10), np.diag([1.0, 2.0, 1.5, 1.0]))
    target = source.resampled((0.8, 1.1, 1.4))  # finer along every axis, hence not smoothed
    array = rng.normal(size=source.shape).astype(np.float32)
    matrix = np.linalg.solve(source.affine, target.affine)
    expected = ndimage.affine_transform(array, matrix[:3, :3], matrix[:3, 3], target.shape, order=1, mode="nearest")
    np.testing.assert_allclose(resample(array, source, target), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float32, bool])
@pytest.mark.parametrize("oblique", [False, True])
def test_nearest_keeps_labels_and_dtype(dtype, oblique, rng, oblique_affine):
    source = Grid((16, 14, 12), oblique_affine if oblique else np.diag([1.0, 1.5, 2.0, 1.0]))
    labels = rng.choice(np.array([0, 1, 17, 77], np.uint8), source.shape).astype(dtype)
    target = Grid((14, 18, 20), np.diag([1.1, 1.1, 1.1, 1.0])) if oblique else source.resampled(0.9)
    moved = resample(labels, source, target, order=0)
    assert moved.dtype == dtype
    assert set(np.unique(moved)) <= set(np.unique(labels))


@pytest.mark.parametrize("spacing", [0.5, 0.8, 1.5, 2.0])
@pytest.mark.parametrize("order", [0, 1])
def test_a_ball_keeps_its_volume(spacing, order):
    source = Grid((32, 32, 32), np.eye(4))
    mask = ball(source, 10, (15.5, 15.2, 15.9)).astype(np.float32)
    target = source.resampled(spacing)
    moved = resample(mask, source, target, order)
    assert moved.sum(dtype=np.float64) * target.voxel_volume == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.03)


def test_there_and_back_returns_the_labels():
    source = Grid((30, 28, 26), np.diag([-1.0, 1.0, 1.0, 1.0]))
    labels = ball(source, 9, (-14, 14, 13)).astype(np.uint8)
    fine = source.oriented("SAR").resampled(0.5)
    assert np.array_equal(resample(resample(labels, source, fine, 0), fine, source, 0), labels)


def test_downsampling_smooths_away_what_the_grid_cannot_hold():
    source = Grid((64, 8, 8), np.eye(4))
    stripes = np.broadcast_to(np.arange(64)[:, None, None] % 2, source.shape).astype(np.float32)
    target = Grid((16, 8, 8), np.diag([4.0, 1, 1, 1]))  # without smoothing it would meet the dark stripes alone
    assert np.abs(inner(resample(stripes, source, target)) - 0.5).max() < 0.02


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("order", [0, 1])
def test_beyond_the_field_of_view(order, oblique):
    source = Grid((6, 6, 6), np.eye(4))
    affine = np.eye(4)
    affine[:3, 3] = -3
    if oblique:
        affine[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    target = Grid((13, 13, 13), affine)
    ones = np.ones(source.shape, np.float32)
    np.testing.assert_allclose(resample(ones, source, target, order), 1, rtol=1e-6)  # the edge is continued


def test_within_the_half_voxel_rim_the_edge_counts():
    source = Grid((4, 1, 1), np.eye(4))
    target = source.resampled((0.5, 1, 1))  # its first centre lies a quarter voxel before the source's
    values = resample(np.array([10.0, 20, 30, 40]).reshape(4, 1, 1), source, target)
    np.testing.assert_allclose(values.ravel(), [10, 12.5, 17.5, 22.5, 27.5, 32.5, 37.5, 40])


def test_integers_are_interpolated_as_real_numbers():
    source = Grid((2, 1, 1), np.eye(4))
    values = resample(np.array([0, 1], np.uint8).reshape(2, 1, 1), source, source.resampled((0.5, 1, 1)))
    np.testing.assert_allclose(values.ravel(), [0, 0.25, 0.75, 1])


def test_refuses_an_array_of_another_shape():
    grid = Grid((2, 3, 4), np.eye(4))
    with pytest.raises(VolumeError, match=r"expected an array of the grid's shape \(2, 3, 4\), got \(4, 3, 2\)"):
        resample(np.zeros((4, 3, 2)), grid, grid)


def test_refuses_another_order():
    grid = Grid((2, 3, 4), np.eye(4))
    with pytest.raises(VolumeError, match="expected order 0"):
        resample(np.zeros(grid.shape), grid, grid, order=3)


# Part by part


@pytest.fixture
def small_parts(monkeypatch):
    """Makes every grid of more than 500 voxels a large one."""
    return lambda: monkeypatch.setattr(resampling, "LARGE", 500)


@pytest.fixture
def source():
    return Grid((19, 16, 14), np.diag([-1.0, 1.2, 1.5, 1.0]))


def target(source, oblique_affine, kind):
    if kind == "oblique":
        return Grid((24, 20, 16), oblique_affine)
    if kind == "far away":  # partly, and for some slabs wholly, outside the source
        affine = source.affine.copy()
        affine[:3, 3] += 12
        return Grid((17, 15, 18), affine)
    return source.oriented("SAR").resampled(kind)


TARGETS = [0.6, 1.1, 2.3, (3.1, 1.0, 0.9), "oblique", "far away"]


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("order", [0, 1])
def test_resampling_in_parts_is_resampling(kind, order, source, oblique_affine, rng, small_parts):
    array, wanted = rng.normal(size=source.shape).astype("float32"), target(source, oblique_affine, kind)
    whole = resample(array, source, wanted, order)
    small_parts()
    parts = resample(array, source, wanted, order)
    assert parts.dtype == whole.dtype
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_every_voxel_lies_in_one_part(source, small_parts):
    small_parts()
    wanted, seen = source.resampled(0.7), np.zeros(source.resampled(0.7).shape, int)
    for part, box in resampling.parts(source, wanted, 2):
        seen[part] += 1
        assert all(0 <= cut.start < cut.stop <= size for cut, size in zip(box, source.shape))
        assert wanted.cropped(part).shape == seen[part].shape
    assert (seen == 1).all()
