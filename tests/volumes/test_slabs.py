import numpy as np
import pytest

from recalib_keras.volumes import Grid, resample, restore_labels, slabs


@pytest.fixture
def small_slabs(monkeypatch):
    """Makes every grid of more than 500 voxels a large one."""
    return lambda: monkeypatch.setattr(slabs, "MOST_VOXELS", 500)


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
@pytest.mark.parametrize("cval", [None, -7])
def test_resampling_in_slabs_is_resampling(kind, order, cval, source, oblique_affine, rng, small_slabs):
    array, wanted = rng.normal(size=source.shape).astype("float32"), target(source, oblique_affine, kind)
    whole = resample(array, source, wanted, order, cval)
    small_slabs()
    parts = resample(array, source, wanted, order, cval)
    assert parts.dtype == whole.dtype
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("kind", TARGETS)
def test_restoring_labels_in_slabs_is_restoring_them(kind, source, oblique_affine, rng, small_slabs):
    labels = rng.choice(np.array([0, 3, 70], "uint8"), (5, 4, 4)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    labels, wanted = labels[:19, :16, :14], target(source, oblique_affine, kind)
    whole = restore_labels(labels, source, wanted)
    small_slabs()
    assert np.array_equal(restore_labels(labels, source, wanted), whole)


def test_background_is_that_of_the_whole_map_in_every_slab(source, small_slabs):
    labels = np.full(source.shape, 5, "uint8")
    labels[:3] = 1
    small_slabs()
    far = source.affine.copy()
    far[0, 3] -= 10  # beyond the last voxels of the first axis, where no label 1 is near
    restored = restore_labels(labels, source, Grid((19, 16, 14), far))
    assert (restored[-5:] == 1).all() and (restored[:5] == 5).all()


def test_every_voxel_lies_in_one_slab(source, small_slabs):
    small_slabs()
    wanted, seen = source.resampled(0.7), np.zeros(source.resampled(0.7).shape, int)
    for part, box in slabs.slabs(source, wanted, 2):
        seen[part] += 1
        assert all(0 <= cut.start < cut.stop <= size for cut, size in zip(box, source.shape))
        assert slabs.cropped(wanted, part).shape == seen[part].shape
    assert (seen == 1).all()
