import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from recalib_keras.synthesis import Synthesis
from recalib_keras.synthesis.deformation import GRID, affine, displacement, followed
from recalib_keras.transforms.separable_operators import smooth_spline

EXTENT = (150.0, 180.0, 150.0)


def determinants(displacements, extent):
    """Returns how much each cell of the grid grows: the determinant of the displaced places' differences."""
    steps = np.array(extent) / (GRID - 1)
    places = np.indices((GRID,) * 3) * steps.reshape(3, 1, 1, 1) + displacements
    gradients = np.array([np.gradient(part, *steps) for part in places])
    return np.linalg.det(np.moveaxis(gradients, (0, 1), (-2, -1)))


def test_nothing_is_the_identity(rng):
    assert np.array_equal(affine(Synthesis(), 3, 0, False, rng), np.eye(3))
    assert np.array_equal(affine(Synthesis(), 3, 0, True, rng), np.diag([-1, 1, 1]))


def test_rotations_are_rotations_in_degrees(rng):
    matrices = np.array([affine(Synthesis(rotation=12), 2, 0, False, rng) for _ in range(2000)])
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(2), (2000, 1, 1)), atol=1e-9)
    assert np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])).std() == pytest.approx(12, rel=0.06)
    turned = affine(Synthesis(rotation=30), 3, 0, False, rng)
    assert np.linalg.det(turned) == pytest.approx(1) and np.linalg.det(
        affine(Synthesis(rotation=9), 3, 1, True, rng)
    ) == pytest.approx(-1)


def test_scales_and_shears_have_the_deviations_they_say(rng):
    scaled = np.array([affine(Synthesis(scaling=0.1), 3, 0, False, rng) for _ in range(1000)])
    assert np.log(scaled[:, range(3), range(3)]).std() == pytest.approx(0.1, rel=0.06)
    sheared = np.array([affine(Synthesis(shearing=0.03), 3, 0, False, rng) for _ in range(1000)])
    assert sheared[:, 0, 1].std() == pytest.approx(0.03, rel=0.08) and (sheared[:, 0, 0] == 1).all()


def test_a_steady_even_flow_carries_everything_alike():
    velocity = np.full((3, 8, 8, 8), 4.0) * np.array([1, -2, 0.5]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(followed(velocity, EXTENT), velocity, atol=1e-9)


def test_a_flow_that_grows_evenly_grows_exponentially():
    x = np.linspace(0, 150, 16)
    moved = followed(0.2 * x[None], (150.0,))[0]  # dx/dt = 0.2 x, so x(1) = exp(0.2) x, as long as it stays inside
    np.testing.assert_allclose(moved[:12], x[:12] * (np.exp(0.2) - 1), rtol=5e-3, atol=1e-6)


def test_flowing_back_returns():
    rng = np.random.default_rng(3)
    x, y = np.linspace(0, np.pi, 32), np.linspace(0, np.pi, 32)
    bump = np.outer(np.sin(x), np.sin(y))
    velocity = np.stack([9 * bump, -6 * bump * rng.uniform(0.9, 1.1)])
    there, back = followed(velocity, (100.0, 100.0)), followed(-velocity, (100.0, 100.0))
    step = 100 / 31
    nodes = np.indices((32, 32))
    returned = there + np.stack([map_coordinates(part, nodes + there / step, order=1, mode="nearest") for part in back])
    assert np.abs(there).max() > 5 and np.abs(returned).max() < 0.1


@pytest.mark.parametrize(("largest", "nodes"), [(8.0, 8), (4.0, 16)])
def test_displacements_never_fold(largest, nodes, rng):
    for _ in range(20):
        assert determinants(displacement(largest, nodes, EXTENT, rng), EXTENT).min() > 0


def test_a_flow_does_not_fold_what_a_plain_displacement_does(rng):
    velocity = rng.normal(0, 50, (3, 6, 6, 6))
    for axis in range(1, 4):
        velocity = np.moveaxis(np.tensordot(velocity, smooth_spline(6, GRID), (axis, 0)), -1, axis)
    assert determinants(velocity, EXTENT).min() < 0 < determinants(followed(velocity, EXTENT), EXTENT).min()


def test_displacements_have_the_deviation_they_say(rng):
    drawn = np.array([displacement(3.0, 16, EXTENT, rng) for _ in range(300)])
    assert drawn.shape == (300, 3, GRID, GRID, GRID)
    deviations = drawn.std(axis=(2, 3, 4))
    # Even from 0 to 3: 1.5 in the mean, and hardly any above 3.
    assert deviations.mean() == pytest.approx(1.5, rel=0.12) and np.percentile(deviations, 98) < 4
