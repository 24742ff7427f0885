import numpy as np
import pytest
from evaluation.brute_force import brute_force_distances, brute_force_surface

from recalib_keras.evaluation.surfaces import (
    average_surface_distance,
    robust_hausdorff_distance,
    surface,
    surface_distances,
)


@pytest.mark.parametrize("shape", [(30,), (12, 15), (14, 11, 9), (1, 9, 9)])
def test_surface_is_what_has_a_face_outside(blobs, shape):
    mask = blobs(shape, count=1) == 1
    assert 0 < mask.sum() < mask.size
    np.testing.assert_array_equal(surface(mask), brute_force_surface(mask))


def test_a_diagonal_neighbour_makes_no_surface():
    mask = np.ones((5, 5), bool)
    mask[0, 0] = False
    inner = mask.copy()
    inner[[0, -1]] = inner[:, [0, -1]] = False
    np.testing.assert_array_equal(surface(mask), mask & ~inner)
    assert not surface(mask)[1, 1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "axes",
    [np.eye(3), np.diag([0.7, 1.0, 4.0]), np.array([[1.0, 0, 0.4], [0, 0.9, 0], [0, -0.3, 2.5]])],
    ids=["isotropic", "anisotropic", "sheared"],
)
def test_distances_are_those_of_all_pairs(blobs, axes, seed):
    prediction, truth = blobs(seed=seed) == 1, blobs(seed=seed + 10) == 1
    for found, expected in zip(
        surface_distances(prediction, truth, axes), brute_force_distances(prediction, truth, axes)
    ):
        np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-12)


def test_distances_between_centres():
    prediction, truth = np.zeros((2, 6, 4, 5), bool)
    prediction[1, 1, 1], truth[4, 1, 3] = True, True
    forth, back = surface_distances(prediction, truth, np.diag([2.0, 1.0, 4.0]))
    assert forth == pytest.approx([10.0]) and back == pytest.approx([10.0])  # 6, 0 and 8 mm


def test_hd95_is_of_the_larger_direction():
    near, far = np.zeros(100), np.full(10, 7.0)
    assert robust_hausdorff_distance(near, far) == robust_hausdorff_distance(far, near) == 7
    assert np.percentile(np.concatenate([near, far]), 95) == 7  # pooled, 9 of 10 voxels fewer would hide them:
    assert robust_hausdorff_distance(near, far[:1]) == 7
    assert np.percentile(np.concatenate([near, far[:1]]), 95) == 0


def test_the_percentile_is_interpolated_between_ranks():
    # 95 % of the way from rank 0 to rank 10 is rank 9.5.
    assert robust_hausdorff_distance(np.array([0.0]), np.arange(11.0)) == pytest.approx(9.5)


def test_the_mean_is_over_voxels_of_both_surfaces():
    assert average_surface_distance(np.array([1.0, 1.0, 1.0]), np.array([5.0])) == 2
