import keras
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import map_coordinates

from recalib_keras.transforms.displacement import integrate_velocity, interpolate_nodes
from recalib_keras.transforms.separable_operators import b_spline, interpolating_spline

EXTENT = (150.0, 180.0, 150.0)
GRID = 16


@pytest.mark.parametrize("window", [(9, 7, 8), (10, 6)])
def test_displacements_are_interpolated_linearly_between_the_nodes(window, rng):
    rank, count = len(window), 4
    nodes = rng.normal(0, 0.8, (2, rank) + (count,) * rank).astype("float32")
    displacements = keras.ops.convert_to_numpy(interpolate_nodes(nodes, window))
    at = np.stack(np.meshgrid(*(np.linspace(0, count - 1, size) for size in window), indexing="ij"))
    for index, axis in np.ndindex(2, rank):
        expected = map_coordinates(nodes[index, axis], at, order=1)
        np.testing.assert_allclose(displacements[index, axis], expected, atol=1e-5)


def test_other_splines_may_interpolate_the_nodes(rng):
    nodes = rng.normal(size=(1, 2, 8, 8)).astype("float32")
    found = keras.ops.convert_to_numpy(interpolate_nodes(nodes, (15, 22), interpolating_spline))
    lines = np.linspace(0, 14, 8), np.linspace(0, 21, 8)
    voxels = np.stack(np.meshgrid(np.arange(15), np.arange(22), indexing="ij"), axis=-1)
    for field, grid in zip(found[0], nodes[0].astype("float64")):
        np.testing.assert_allclose(field, RegularGridInterpolator(lines, grid, method="cubic")(voxels), atol=1e-4)


def determinants(displacements, extent):
    """Returns how much each cell of the grid grows: the determinant of the displaced places' differences."""
    steps = np.array(extent) / (GRID - 1)
    places = np.indices((GRID,) * 3) * steps.reshape(3, 1, 1, 1) + displacements
    gradients = np.array([np.gradient(part, *steps) for part in places])
    return np.linalg.det(np.moveaxis(gradients, (0, 1), (-2, -1)))


def test_a_steady_even_flow_carries_everything_alike():
    velocity = np.full((3, 8, 8, 8), 4.0) * np.array([1, -2, 0.5]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(integrate_velocity(velocity, EXTENT), velocity, atol=1e-9)


def test_a_flow_that_grows_evenly_grows_exponentially():
    x = np.linspace(0, 150, 16)
    moved = integrate_velocity(0.2 * x[None], (150.0,))[
        0
    ]  # dx/dt = 0.2 x, so x(1) = exp(0.2) x, as long as it stays inside
    np.testing.assert_allclose(moved[:12], x[:12] * (np.exp(0.2) - 1), rtol=5e-3, atol=1e-6)


def test_flowing_back_returns():
    rng = np.random.default_rng(3)
    x, y = np.linspace(0, np.pi, 32), np.linspace(0, np.pi, 32)
    bump = np.outer(np.sin(x), np.sin(y))
    velocity = np.stack([9 * bump, -6 * bump * rng.uniform(0.9, 1.1)])
    there, back = integrate_velocity(velocity, (100.0, 100.0)), integrate_velocity(-velocity, (100.0, 100.0))
    step = 100 / 31
    nodes = np.indices((32, 32))
    returned = there + np.stack([map_coordinates(part, nodes + there / step, order=1, mode="nearest") for part in back])
    assert np.abs(there).max() > 5 and np.abs(returned).max() < 0.1


def test_a_flow_does_not_fold_what_a_plain_displacement_does(rng):
    velocity = rng.normal(0, 50, (3, 6, 6, 6))
    for axis in range(1, 4):
        velocity = np.moveaxis(np.tensordot(velocity, b_spline(6, GRID), (axis, 0)), -1, axis)
    assert determinants(velocity, EXTENT).min() < 0 < determinants(integrate_velocity(velocity, EXTENT), EXTENT).min()
