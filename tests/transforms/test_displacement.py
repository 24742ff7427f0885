import keras
import numpy as np
import pytest
from scipy import ndimage

from recalib_keras.transforms.displacement import resample, source_places

WINDOWS = [(12, 9), (9, 12, 8), (5, 6, 4, 7)]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def numpy(tensors):
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def random_places(window, batch, rng):
    """Returns places in and around the window, none of them within 1e-3 of half-way between two voxels."""
    places = [rng.uniform(-2.5, size + 1.5, (batch, *window)) for size in window]
    halves = [np.abs(place - np.floor(place) - 0.5) < 1e-3 for place in places]
    return [np.where(half, place + 0.01, place).astype("float32") for place, half in zip(places, halves)]


@pytest.mark.parametrize("window", WINDOWS, ids=len)
def test_images_and_labels_are_those_of_scipy(window, rng):
    images = rng.normal(size=(3, *window)).astype("float32")
    labels = rng.integers(1, 200, (3, *window)).astype("uint8")
    places = random_places(window, 3, rng)
    found_images, found_labels = numpy(resample(images, labels, places))
    for index in range(3):
        where = np.stack([place[index] for place in places])
        expected = ndimage.map_coordinates(images[index], where, order=1, mode="nearest")
        np.testing.assert_allclose(found_images[index], expected, atol=1e-5)
        # Beyond the border means more than half a voxel beyond the last one's centre.
        expected = ndimage.map_coordinates(labels[index], where, order=0, mode="grid-constant", cval=0)
        assert np.array_equal(found_labels[index], expected)
    assert (found_labels == 0).any() and found_labels.dtype == np.uint8


@pytest.mark.parametrize("window", WINDOWS, ids=len)
def test_at_its_own_places_nothing_changes(window, rng):
    images = rng.normal(size=(2, *window)).astype("float32")
    labels = rng.integers(0, 5, (2, *window)).astype("uint8")
    rank = len(window)
    identity, none = np.tile(np.eye(rank, dtype="float32"), (2, 1, 1)), np.zeros((2, rank), "float32")
    found_images, found_labels = numpy(resample(images, labels, source_places(window, identity, none)))
    np.testing.assert_allclose(found_images, images, atol=1e-6)
    assert np.array_equal(found_labels, labels)


def test_a_window_of_one_voxel_along_an_axis(rng):
    images = rng.normal(size=(2, 5, 1)).astype("float32")
    places = [np.full((2, 5, 1), 1.5, "float32"), np.full((2, 5, 1), 0.25, "float32")]
    found, _ = numpy(resample(images, np.ones((2, 5, 1), "uint8"), places))
    np.testing.assert_allclose(found[:, 0, 0], (images[:, 1, 0] + images[:, 2, 0]) / 2, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_labels_keep_large_numbers_exactly(dtype):
    labels = np.full((1, 3, 3), np.iinfo(dtype).max, dtype)
    places = [np.full((1, 3, 3), 0.3, "float32")] * 2
    _, found = numpy(resample(np.zeros((1, 3, 3), "float32"), labels, places))
    assert np.array_equal(found, labels)


@pytest.mark.parametrize("window", WINDOWS, ids=len)
def test_places_are_matrix_times_offset_from_the_centre(window, rng):
    rank = len(window)
    matrices = rng.normal(size=(2, rank, rank)).astype("float32")
    shifts = rng.normal(size=(2, rank)).astype("float32")
    centre = (np.array(window) - 1) / 2
    offsets = np.moveaxis(np.indices(window), 0, -1) - centre
    for index, places in enumerate(np.stack(numpy(source_places(window, matrices, shifts)), axis=1)):
        expected = offsets @ matrices[index].T + centre + shifts[index]
        np.testing.assert_allclose(np.moveaxis(places, 0, -1), expected, atol=1e-4)


@pytest.mark.parametrize("window", [(9, 7, 8), (10, 6)])
def test_displacements_are_interpolated_linearly_between_the_nodes(window, rng):
    rank, count = len(window), 4
    nodes = rng.normal(0, 0.8, (2, rank) + (count,) * rank).astype("float32")
    identity, none = np.tile(np.eye(rank, dtype="float32"), (2, 1, 1)), np.zeros((2, rank), "float32")
    places = np.stack(numpy(source_places(window, identity, none, nodes)), axis=1)
    at = np.stack(np.meshgrid(*(np.linspace(0, count - 1, size) for size in window), indexing="ij"))
    for index, axis in np.ndindex(2, rank):
        expected = np.indices(window)[axis] + ndimage.map_coordinates(nodes[index, axis], at, order=1)
        np.testing.assert_allclose(places[index, axis], expected, atol=1e-5)
