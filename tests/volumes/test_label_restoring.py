import numpy as np
import pytest

from recalib_keras.volumes import Grid, resample, restore_labels


def places(grid):
    """Returns the place (mm) of each voxel, `(*shape, 3)`."""
    index = np.stack(np.indices(grid.shape), -1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def balls(grid, *structures):
    """Returns labels of balls, each given as `(label, centre in mm, radius in mm)`; later ones cover earlier ones."""
    labels = np.zeros(grid.shape, "uint8")
    for label, centre, radius in structures:
        labels[np.linalg.norm(places(grid) - centre, axis=-1) < radius] = label
    return labels


def cube(size, spacing=1.0):
    return Grid((size,) * 3, np.diag([spacing] * 3 + [1.0]))


def volume(labels, label, grid):
    return np.count_nonzero(labels == label) * grid.voxel_volume


@pytest.fixture
def oblique(oblique_affine):
    """A grid rotated against the millimetre axes."""
    return Grid((24, 20, 16), oblique_affine)


@pytest.mark.parametrize("code", ["RAS", "LPS", "SAR", "AIL"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64"])
def test_exact_where_the_voxels_coincide(code, dtype, rng, oblique):
    labels = rng.choice(np.array([0, 3, 77], dtype), oblique.shape)
    turned = oblique.oriented(code)
    there = restore_labels(labels, oblique, turned)
    assert there.dtype == dtype
    assert np.array_equal(there, resample(labels, oblique, turned, order=0))
    assert np.array_equal(restore_labels(there, turned, oblique), labels)


@pytest.mark.parametrize("spacing", [0.5, 0.8, 1.25, 1.5, (0.7, 1.0, 2.0)])
def test_volumes_are_kept(spacing):
    source = cube(36)
    target = source.resampled(spacing)
    before, after = {17: 0, 53: 0}, {17: 0, 53: 0}
    for centre in [(17, 18, 16.5), (17.3, 17.9, 18.2), (18, 18, 18)]:
        labels = balls(source, (17, centre, 14), (53, np.add(centre, 1), 10))
        restored = restore_labels(labels, source, target)
        for label in before:
            before[label] += volume(labels, label, source)
            after[label] += volume(restored, label, target)
    assert after == pytest.approx(before, rel=0.02)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_voxels_half_in_a_structure_do_not_all_fall_to_one_side(axis):
    """A slab both of whose faces pass through the centres of voxels twice as thick keeps its thickness."""
    source = cube(16)
    spacing = np.ones(3)
    spacing[axis] = 2
    target = source.resampled(spacing)
    labels = np.zeros(source.shape, "uint8")
    np.moveaxis(labels, axis, 0)[5:11] = 1
    assert volume(restore_labels(labels, source, target), 1, target) == volume(labels, 1, source)


def test_volumes_are_kept_across_a_rotation(oblique_affine):
    source = cube(36)
    labels = balls(source, (1, (17, 18, 16.5), 9))
    affine = oblique_affine.copy()
    affine[:3, 3] += (17, 18, 16.5) - places(Grid((36, 24, 18), affine))[18, 12, 9]
    target = Grid((36, 24, 18), affine)
    restored = restore_labels(labels, source, target)
    assert volume(restored, 1, target) == pytest.approx(volume(labels, 1, source), rel=0.02)


def test_borders_are_smoother_than_the_nearest_voxels():
    """A ball seen in voxels of 2 mm and brought to 0.5 mm is nearer to the ball than its blocks are."""
    source, target = cube(16, 2.0), cube(64, 0.5)
    ball = (1, (15, 16, 14.5), 10)
    coarse, truth = balls(source, ball), balls(target, ball)
    restored, nearest = restore_labels(coarse, source, target), resample(coarse, source, target, order=0)
    assert np.count_nonzero(restored != truth) < 0.7 * np.count_nonzero(nearest != truth)


@pytest.mark.parametrize("spacing", [0.6, 1.7])
def test_no_label_is_invented(spacing, rng):
    source = cube(12)
    labels = rng.choice(np.array([4, 17, 53, 200], "uint8"), source.shape)
    restored = restore_labels(labels, source, source.resampled(spacing))
    assert restored.dtype == np.uint8 and set(np.unique(restored)) <= {4, 17, 53, 200}


def test_many_labels_that_touch_fill_the_space():
    """Slabs one after the other: every voxel gets the slab it lies in, and no background shows between them."""
    source = Grid((32, 8, 8), np.eye(4))
    labels = np.broadcast_to(10 + np.arange(32)[:, None, None] // 4, source.shape).astype("uint8")
    target = source.resampled(0.5)
    restored = restore_labels(labels, source, target)
    expected = 10 + np.floor((places(target)[..., 0] + 0.5) / 4).astype("uint8")
    assert np.array_equal(restored, expected)


def test_the_structure_that_covers_most_wins():
    source = Grid((4, 1, 1), np.eye(4))
    labels = np.array([0, 5, 9, 9], "uint8").reshape(4, 1, 1)
    shifted = np.eye(4)
    shifted[0, 3] = 0.4  # each voxel lies 0.4 towards the next
    assert restore_labels(labels, source, Grid((4, 1, 1), shifted)).ravel().tolist() == [0, 5, 9, 9]
    shifted[0, 3] = 0.6
    assert restore_labels(labels, source, Grid((3, 1, 1), shifted)).ravel().tolist() == [5, 9, 9]


def test_background_lies_outside(oblique):
    source = cube(10)
    labels = np.full(source.shape, 7, "uint8")
    labels[5] = 3
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = -3.1
    target = Grid((30, 30, 30), affine)
    restored = restore_labels(labels, source, target)
    inside = ((places(target) > -0.5) & (places(target) < 9.5)).all(-1)
    assert (restored[~inside] == 3).all()
    assert np.count_nonzero(restored[inside] == 7) > 0.8 * np.count_nonzero(inside)


@pytest.mark.parametrize("offset", [30, -30])
def test_a_structure_beyond_the_target_is_left_out(offset):
    source = cube(40)
    labels = balls(source, (1, (8, 8, 8), 3), (2, (30, 30, 30), 3))
    affine = np.eye(4)
    affine[:3, 3] = 20.3 if offset > 0 else 0.3
    target = Grid((18, 18, 18), affine)
    kept = 2 if offset > 0 else 1
    restored = restore_labels(labels, source, target)
    assert set(np.unique(restored)) == {0, kept}
    assert volume(restored, kept, target) == pytest.approx(volume(labels, kept, source), rel=0.15)


def test_a_structure_at_the_border_reaches_it():
    source = cube(8)
    labels = np.zeros(source.shape, "uint8")
    labels[:3] = 6
    target = source.resampled(0.5)
    restored = restore_labels(labels, source, target)
    assert (restored[:6] == 6).all() and (restored[6:] == 0).all()
