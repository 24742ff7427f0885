import keras
import numpy as np
import pytest
from scipy import ndimage
from transforms.fast import fast

from recalib_keras.transforms import lookup
from recalib_keras.transforms.lookup import of_examples, of_labels

nearest_labels, resample = fast(lookup.nearest_labels), fast(lookup.resample)
WINDOWS = [(12, 9), (9, 12, 8), (5, 6, 4, 7)]


def numpy(tensors):
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def own_places(window, batch):
    """Returns the place of each voxel itself."""
    return [np.broadcast_to(places, (batch, *window)) for places in np.indices(window).astype("float32")]


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
    images = rng.normal(size=(3, *window)).astype("float32")
    labels = rng.integers(0, 5, (3, *window)).astype("uint8")
    places = own_places(window, 3)
    found_images, found_labels = numpy(resample(images, labels, places))
    np.testing.assert_allclose(found_images, images, atol=1e-6)
    assert np.array_equal(found_labels, labels)
    assert np.array_equal(keras.ops.convert_to_numpy(nearest_labels(labels, places)), labels)


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


@pytest.mark.parametrize("window", WINDOWS[:2], ids=len)
def test_nearest_labels_are_those_of_scipy_and_continue_at_the_border(window, rng):
    labels = rng.integers(1, 200, (3, *window)).astype("uint8")
    places = random_places(window, 3, rng)
    found = keras.ops.convert_to_numpy(nearest_labels(labels, places))
    for index in range(3):
        where = np.stack([place[index] for place in places])
        assert np.array_equal(found[index], ndimage.map_coordinates(labels[index], where, order=0, mode="nearest"))
    assert found.dtype == np.uint8


def test_places_half_way_take_the_upper_label_or_the_even_one():
    labels, halves = np.arange(5, dtype="uint8")[None], [np.array([[0.5, 1.5, 2.5]], "float32")]
    assert keras.ops.convert_to_numpy(nearest_labels(labels, halves)).tolist() == [[1, 2, 3]]
    assert numpy(resample(labels.astype("float32"), labels, halves))[1].tolist() == [[0, 2, 2]]


def test_values_of_labels():
    values = keras.ops.convert_to_tensor(np.array([[0, 10, 20], [5, 6, 7]], "float32"))
    labels = keras.ops.convert_to_tensor(np.array([[[2, 1]], [[0, 2]]], "uint8"))
    assert keras.ops.convert_to_numpy(of_labels(values, labels)).tolist() == [[[20, 10]], [[5, 7]]]


def test_values_of_examples_broadcast_over_their_windows():
    values = keras.ops.convert_to_numpy(of_examples(np.array([3.0, 5.0], "float32"), 2))
    assert (values * np.ones((2, 4, 3))).sum(axis=(1, 2)).tolist() == [36, 60]
