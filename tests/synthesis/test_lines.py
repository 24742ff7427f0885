import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from recalib_keras.synthesis.lines import along_axes, gaussian, slices, smooth_spline, spline_through, spread, texture


def test_matrices_act_along_each_axis(rng):
    values = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    shared = [rng.normal(size=shape).astype("float32") for shape in ((3, 6), (4, 2), (5, 7))]
    expected = np.einsum("bxyz,xi,yj,zk->bijk", values, *shared)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(along_axes(values, shared)), expected, atol=1e-4)
    own = [np.stack([matrix, -2 * matrix]) for matrix in shared]
    expected = np.einsum("bxyz,bxi,byj,bzk->bijk", values, *own)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(along_axes(values, own)), expected, atol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 30])
def test_smooth_splines_are_weights(size):
    matrix = smooth_spline(5, size)
    assert matrix.shape == (5, size) and (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-6)
    # Between its inner nodes the spline of evenly rising values rises evenly.
    expected = np.linspace(1, 3, size) if size > 1 else 2
    np.testing.assert_allclose(np.arange(5) @ matrix, expected, atol=1e-6)


def test_splines_through_values_follow_a_cubic():
    places = np.linspace(0, 7, 40)
    cubic = np.polynomial.Polynomial([1, -2, 0.5, -0.05])
    np.testing.assert_allclose(cubic(np.arange(8)) @ spline_through(8, 40), cubic(places), atol=1e-4)
    np.testing.assert_allclose(spline_through(8, 8), np.eye(8), atol=1e-6)


def test_spread_gives_a_mean_deviation_of_one(rng):
    fields = rng.normal(size=(4000, 6, 6)) * spread(6, 16, 2)
    matrix = smooth_spline(6, 16)
    fields = np.einsum("nab,ax,by->nxy", fields, matrix, matrix)
    assert np.square(fields.std(axis=(1, 2))).mean() == pytest.approx(1, rel=0.05)


def test_gaussians_blur_as_scipy_does(rng):
    line = rng.normal(size=20)
    np.testing.assert_allclose(line @ gaussian(20, 1.7), gaussian_filter1d(line, 1.7, mode="nearest"), atol=1e-5)
    assert np.array_equal(gaussian(4, 0), np.eye(4))


def test_texture_keeps_the_deviation_and_gives_it_a_length(rng):
    assert np.array_equal(texture(5, 0), np.eye(5))
    noise = rng.normal(size=(20000, 24)) @ texture(24, 2.0)
    np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.03)
    # Two Gaussians of 2 voxels overlap like one of 2√2: neighbours by exp(-1/16), the fourth by exp(-1).
    correlations = np.corrcoef(noise[:, 8:16].T)
    assert correlations[2, 3] == pytest.approx(np.exp(-1 / 16), abs=0.02)
    assert correlations[2, 6] == pytest.approx(np.exp(-1), abs=0.03)


def test_slices_are_means_and_voxels_lie_between_them():
    to_slices, to_voxels = slices(6, 2)
    line = np.array([1.0, 3, 5, 9, 2, 4])
    assert (line @ to_slices).tolist() == [2, 7, 3, 0, 0, 0]
    # Slices at 0.5, 2.5 and 4.5; voxels between them a quarter and three quarters on the way.
    np.testing.assert_allclose(line @ to_slices @ to_voxels, [2, 3.25, 5.75, 6, 4, 3], atol=1e-6)


def test_slices_of_broken_thickness_lie_around_the_centre():
    to_slices, _ = slices(5, 2.5)
    np.testing.assert_allclose(to_slices[:, 0], [0.4, 0.4, 0.2, 0, 0], atol=1e-6)
    np.testing.assert_allclose(to_slices[:, 1], [0, 0, 0.2, 0.4, 0.4], atol=1e-6)
    assert not to_slices[:, 2:].any()


def test_slices_as_thick_as_voxels_change_nothing():
    to_slices, to_voxels = slices(7, 1)
    np.testing.assert_allclose(to_slices @ to_voxels, np.eye(7), atol=1e-6)
