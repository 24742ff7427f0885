import keras
import numpy as np
import pytest

from recalib_keras.transforms.affine import planes, rotation, source_places

WINDOWS = [(12, 9), (9, 12, 8), (5, 6, 4, 7)]


def numpy(tensors):
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_rotations_keep_lengths_and_handedness(rank, rng):
    matrix = rotation(rng.normal(size=planes(rank)), rank)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(rank), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize(("plane", "axes"), [(0, (0, 1)), (1, (0, 2)), (2, (1, 2))])
def test_an_angle_turns_its_plane_of_two_axes(plane, axes):
    matrix, expected = rotation(np.eye(3)[plane] * np.pi / 6, 3), np.eye(3)
    expected[np.ix_(axes, axes)] = [[np.sqrt(3) / 2, -0.5], [0.5, np.sqrt(3) / 2]]
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_a_rotation_is_the_product_of_those_in_its_planes():
    parts = [rotation(np.eye(3)[plane] * angle, 3) for plane, angle in enumerate((0.2, -0.5, 0.9))]
    np.testing.assert_allclose(rotation((0.2, -0.5, 0.9), 3), parts[0] @ parts[1] @ parts[2], atol=1e-12)


@pytest.mark.parametrize("window", WINDOWS, ids=len)
def test_places_are_matrix_times_offset_from_the_centre(window, rng):
    rank = len(window)
    matrices = rng.normal(size=(2, rank, rank)).astype("float32")
    centre = (np.array(window) - 1) / 2
    centres = (centre + rng.normal(size=(2, rank))).astype("float32")
    offsets = np.moveaxis(np.indices(window), 0, -1) - centre
    for index, places in enumerate(np.stack(numpy(source_places(window, matrices, centres)), axis=1)):
        expected = offsets @ matrices[index].T + centres[index]
        np.testing.assert_allclose(np.moveaxis(places, 0, -1), expected, atol=1e-4)


def test_displacements_are_added_to_the_places(rng):
    displacements = rng.normal(size=(2, 2, 4, 3)).astype("float32")
    field = keras.ops.convert_to_tensor(displacements)
    identity, centres = np.tile(np.eye(2, dtype="float32"), (2, 1, 1)), np.tile(np.float32([1.5, 1]), (2, 1))
    places = np.stack(numpy(source_places((4, 3), identity, centres, field)), axis=1)
    np.testing.assert_allclose(places, np.indices((4, 3)) + displacements, atol=1e-6)
