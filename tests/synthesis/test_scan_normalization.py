import functools

import keras
import numpy as np
import pytest
from transforms.fast import fast

from recalib_keras import volumes
from recalib_keras.synthesis.normalization import normalize
from recalib_keras.synthesis.settings import METHODS


@functools.cache
def by(method):
    return fast(lambda images: normalize(images, method))


def normalized(images, method):
    return keras.ops.convert_to_numpy(by(method)(keras.ops.convert_to_tensor(images)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(9, 8, 7), (80, 96, 80), (300, 299)])
def test_each_image_is_normalised_as_a_scan_is(method, shape, rng):
    # A dark background in which a brighter, skewed half stands; the second image on another scale.
    images = rng.gamma(2, 30, (2, *shape)).astype("float32") + 20
    images[:, : shape[0] // 2] *= 0.05
    images[1] = 500 + 3 * images[1]
    for found, image in zip(normalized(images, method), images):
        np.testing.assert_allclose(found, volumes.normalize(image, method), atol=2e-2, rtol=1e-4)


def test_small_images_have_exact_percentiles(rng):
    images = rng.normal(size=(1, 20, 21)).astype("float32")
    np.testing.assert_allclose(
        normalized(images, "percentile")[0], volumes.normalize(images[0], "percentile"), atol=1e-5
    )


@pytest.mark.parametrize("method", ["zscore", "percentile"])
def test_an_image_without_contrast_becomes_zero(method):
    assert not normalized(np.full((1, 5, 5), 3, "float32"), method).any()
