import numpy as np
import pytest

from recalib_keras.volumes import Grid, resample, slabs


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
def test_resampling_in_slabs_is_resampling(kind, order, source, oblique_affine, rng, small_slabs):
    array, wanted = rng.normal(size=source.shape).astype("float32"), target(source, oblique_affine, kind)
    whole = resample(array, source, wanted, order)
    small_slabs()
    parts = resample(array, source, wanted, order)
    assert parts.dtype == whole.dtype
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_every_voxel_lies_in_one_slab(source, small_slabs):
    small_slabs()
    wanted, seen = source.resampled(0.7), np.zeros(source.resampled(0.7).shape, int)
    for part, box in slabs.slabs(source, wanted, 2):
        seen[part] += 1
        assert all(0 <= cut.start < cut.stop <= size for cut, size in zip(box, source.shape))
        assert slabs.cropped(wanted, part).shape == seen[part].shape
    assert (seen == 1).all()
