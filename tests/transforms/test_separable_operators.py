import keras
import numpy as np
import pytest
from scipy import ndimage

from recalib_keras.transforms.separable_operators import (
    along_axes,
    b_spline,
    gaussian_blur,
    interpolating_spline,
    linear_interpolation,
    noise_blur,
    thick_slices,
    unit_deviation,
)


def slice_and_back(size, thickness):
    return np.matmul(*thick_slices(size, thickness))


def act(values, matrices):
    return keras.ops.convert_to_numpy(along_axes(values.astype("float32"), matrices))


@pytest.mark.parametrize("per_example", [False, True])
def test_each_axis_gets_its_matrix(per_example, rng):
    values = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    lead = (2,) if per_example else ()
    matrices = [rng.normal(size=(*lead, *shape)).astype("float32") for shape in ((3, 6), (4, 2), (5, 7))]
    batch = "b" if per_example else ""
    expected = np.einsum(f"bxyz,{batch}xi,{batch}yj,{batch}zk->bijk", values, *matrices)
    np.testing.assert_allclose(act(values, matrices), expected, atol=1e-4)


@pytest.mark.parametrize(("nodes", "size"), [(5, 40), (4, 4), (2, 7), (6, 3)])
def test_linear_joins_the_nodes_by_straight_lines(nodes, size, rng):
    values = rng.normal(size=nodes)
    expected = np.interp(np.linspace(0, nodes - 1, size), np.arange(nodes), values)
    np.testing.assert_allclose(values @ linear_interpolation(nodes, size), expected, atol=1e-5)


def test_a_spline_starts_and_ends_with_the_weights_of_a_cubic_one():
    matrix = b_spline(6, 30)
    np.testing.assert_allclose(matrix[:, 0], [1 / 6, 4 / 6, 1 / 6, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(matrix[:, -1], [0, 0, 0, 1 / 6, 4 / 6, 1 / 6], atol=1e-6)
    np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-6)


def test_a_spline_of_four_nodes_is_one_cubic_polynomial(rng):
    line = rng.normal(size=4) @ b_spline(4, 25)
    assert np.abs(np.diff(line, 4)).max() < 1e-5 and np.abs(np.diff(line, 3)).max() > 1e-5


@pytest.mark.parametrize("deviation", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("window", [(12, 9), (8, 10, 7)])
def test_gaussian_is_that_of_scipy_along_every_axis(window, deviation, rng):
    values = rng.normal(size=(2, *window))
    deviations = np.linspace(deviation, 2 * deviation, len(window))
    expected = [ndimage.gaussian_filter(value, deviations, mode="nearest") for value in values]
    matrices = [gaussian_blur(size, along) for size, along in zip(window, deviations)]
    np.testing.assert_allclose(act(values, matrices), expected, atol=1e-5)


@pytest.mark.parametrize("deviation", [1.0, 2.0, 3.5])
def test_gaussian_keeps_the_mean_and_reduces_the_variance_of_noise_as_it_must(deviation, rng):
    noise = rng.normal(7, 1, (3000, 60)).astype("float32")
    blurred = noise @ gaussian_blur(60, deviation)
    assert blurred.mean() == pytest.approx(7, abs=0.02)
    # White noise through a Gaussian keeps its integral squared, 1 / (2 σ √π).
    assert blurred[:, 20:40].var() == pytest.approx(1 / (2 * deviation * np.sqrt(np.pi)), rel=0.03)


@pytest.mark.parametrize("deviation", [0, 1e-6])
def test_almost_no_gaussian_leaves_all(deviation):
    assert np.array_equal(gaussian_blur(6, deviation), np.eye(6))


def test_slices_of_two_voxels():
    line = np.array([0.0, 2, 4, 8, 1, 3])  # slices: 1, 6 and 2 at 0.5, 2.5 and 4.5
    expected = [1, 1 * 0.75 + 6 * 0.25, 1 * 0.25 + 6 * 0.75, 6 * 0.75 + 2 * 0.25, 6 * 0.25 + 2 * 0.75, 2]
    np.testing.assert_allclose(line @ slice_and_back(6, 2), expected, atol=1e-6)


def test_slices_of_one_and_a_half_voxels_share_a_voxel():
    line = np.array([3.0, 6, 9])  # slices: (3 + 6 / 2) / 1.5 = 4 at 0.25, and (6 / 2 + 9) / 1.5 = 8 at 1.75
    np.testing.assert_allclose(line @ slice_and_back(3, 1.5), [4, 6, 8], atol=1e-6)


def test_a_slice_thicker_than_the_line_is_its_mean():
    np.testing.assert_allclose(np.array([1.0, 2, 6]) @ slice_and_back(3, 8), [3, 3, 3], atol=1e-6)


@pytest.mark.parametrize("size", [5, 8])
def test_slices_of_one_voxel_leave_all(size):
    np.testing.assert_allclose(slice_and_back(size, 1), np.eye(size), atol=1e-6)


@pytest.mark.parametrize("thickness", [1.3, 2, 3.7, 6])
def test_slices_keep_what_is_even_and_move_nothing(thickness):
    matrix = slice_and_back(17, thickness)
    np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-6)
    # Voxels are even in themselves, so a slice that ends within one is a little off the ramp.
    np.testing.assert_allclose((np.arange(17.0) @ matrix)[6:11], np.arange(6, 11), atol=0.1)


@pytest.mark.parametrize("size", [1, 2, 30])
def test_smooth_splines_are_weights(size):
    matrix = b_spline(5, size)
    assert matrix.shape == (5, size) and (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-6)
    # Between its inner nodes the spline of evenly rising values rises evenly.
    expected = np.linspace(1, 3, size) if size > 1 else 2
    np.testing.assert_allclose(np.arange(5) @ matrix, expected, atol=1e-6)


def test_splines_through_values_follow_a_cubic():
    places = np.linspace(0, 7, 40)
    cubic = np.polynomial.Polynomial([1, -2, 0.5, -0.05])
    np.testing.assert_allclose(cubic(np.arange(8)) @ interpolating_spline(8, 40), cubic(places), atol=1e-4)
    np.testing.assert_allclose(interpolating_spline(8, 8), np.eye(8), atol=1e-6)


def test_spread_gives_a_mean_deviation_of_one(rng):
    fields = rng.normal(size=(4000, 6, 6)) * unit_deviation(6, (16,) * 2)
    matrix = b_spline(6, 16)
    fields = np.einsum("nab,ax,by->nxy", fields, matrix, matrix)
    assert np.square(fields.std(axis=(1, 2))).mean() == pytest.approx(1, rel=0.05)


def test_texture_keeps_the_deviation_and_gives_it_a_length(rng):
    assert np.array_equal(noise_blur(5, 0), np.eye(5))
    noise = rng.normal(size=(20000, 24)) @ noise_blur(24, 2.0)
    np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.03)
    # Two Gaussians of 2 voxels overlap like one of 2√2: neighbours by exp(-1/16), the fourth by exp(-1).
    correlations = np.corrcoef(noise[:, 8:16].T)
    assert correlations[2, 3] == pytest.approx(np.exp(-1 / 16), abs=0.02)
    assert correlations[2, 6] == pytest.approx(np.exp(-1), abs=0.03)


def test_slices_are_means_and_voxels_lie_between_them():
    to_slices, to_voxels = thick_slices(6, 2)
    line = np.array([1.0, 3, 5, 9, 2, 4])
    assert (line @ to_slices).tolist() == [2, 7, 3, 0, 0, 0]
    # Slices at 0.5, 2.5 and 4.5; voxels between them a quarter and three quarters on the way.
    np.testing.assert_allclose(line @ to_slices @ to_voxels, [2, 3.25, 5.75, 6, 4, 3], atol=1e-6)


def test_slices_of_broken_thickness_lie_around_the_centre():
    to_slices, _ = thick_slices(5, 2.5)
    np.testing.assert_allclose(to_slices[:, 0], [0.4, 0.4, 0.2, 0, 0], atol=1e-6)
    np.testing.assert_allclose(to_slices[:, 1], [0, 0, 0.2, 0.4, 0.4], atol=1e-6)
    assert not to_slices[:, 2:].any()
