import keras
import numpy as np
import pytest
from scipy.interpolate import NdBSpline

from recalib_keras.transforms.intensities import apply_bias_field, change_contrast

WINDOWS = [(10, 7), (8, 6, 9)]


def shaded(images, nodes):
    return keras.ops.convert_to_numpy(apply_bias_field(images.astype("float32"), nodes.astype("float32")))


def spline_field(nodes, window):
    """Returns the cubic B-spline of the nodes over a window, as SciPy draws it in n dimensions."""
    knots = tuple(np.arange(count + 4.0) for count in nodes.shape)
    places = (np.linspace(3, count, size) for count, size in zip(nodes.shape, window))
    return NdBSpline(knots, nodes, 3)(np.stack(np.meshgrid(*places, indexing="ij"), axis=-1))


@pytest.mark.parametrize("window", WINDOWS, ids=len)
def test_a_field_multiplies_what_is_brighter_than_the_darkest_voxel(window, rng):
    images = rng.normal(0, 2, (2, *window))
    nodes = rng.normal(0, 1, (2,) + (4,) * len(window))
    for image, grid, found in zip(images, nodes, shaded(images, nodes)):
        logarithm = spline_field(grid, window)
        field = np.exp(logarithm - logarithm.mean())
        np.testing.assert_allclose(found, image.min() + (image - image.min()) * field, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", WINDOWS, ids=len)
@pytest.mark.parametrize("value", [0.0, 1.5])
def test_an_even_field_changes_nothing(value, window, rng):
    images = rng.normal(0, 2, (2, *window))
    np.testing.assert_allclose(shaded(images, np.full((2,) + (4,) * len(window), value)), images, atol=1e-5)


def test_no_voxel_gets_darker_than_the_darkest(rng):
    images = rng.normal(size=(3, 12, 12))
    found = shaded(images, rng.normal(0, 2, (3, 4, 4)))
    np.testing.assert_allclose(found.min(axis=(1, 2)), images.min(axis=(1, 2)), rtol=1e-5)


def test_contrast(rng):
    images = rng.normal(2, 3, (2, 6, 5)).astype("float32")
    gammas, contrasts, brightnesses = np.array([[0.5, 2.0], [1.5, 0.8], [0.3, -1.0]], "float32")
    changed = keras.ops.convert_to_numpy(change_contrast(images, gammas, contrasts, brightnesses))
    for index in range(2):
        low, high = images[index].min(), images[index].max()
        expected = low + (high - low) * ((images[index] - low) / (high - low)) ** gammas[index]
        np.testing.assert_allclose(changed[index], expected * contrasts[index] + brightnesses[index], atol=1e-4)


def test_a_constant_image_stays_finite():
    one = np.ones(1, "float32")
    images = np.full((1, 4, 4), 3, "float32")
    changed = change_contrast(apply_bias_field(images, np.ones((1, 4, 4), "float32")), 0.4 * one, one, 0 * one)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(changed), 3, atol=1e-5)
