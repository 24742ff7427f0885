"""Networks that pool each axis as often as its voxels allow."""

import keras
import numpy as np
import pytest
from networks import every_network, image, outputs_of, randomize, tiny

from recalib_keras import models

POOL_SIZES = [(2, 2, 1), (2, 2, 2)]


def thick(network, **arguments):
    """Returns a tiny network for windows of thick slices, 8×8×2."""
    arguments = {"levels": 2, "filters": (2, 3, 4), "pool_sizes": POOL_SIZES, "recalibration": "scse", **arguments}
    return network((8, 8, 2, 1), 3, **arguments)


@every_network
def test_a_window_of_thick_slices_at_four_levels(network):
    """96×96×8 pooled by 2 everywhere would be 6×6×0.5."""
    pool_sizes = [(2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1)]
    model = network((96, 96, 8, 1), 2, filters=1, pool_sizes=pool_sizes)
    assert model.output_shape == (None, 96, 96, 8, 2)
    seen = [model.get_layer(f"encoder_{level}_pool").output for level in (1, 2, 3, 4)]
    shapes = [(one[0] if isinstance(one, (list, tuple)) else one).shape[1:-1] for one in seen]
    assert shapes == [(48, 48, 8), (24, 24, 4), (12, 12, 2), (6, 6, 2)]


@every_network
@pytest.mark.parametrize(
    "upsampling",
    ["unpool", *(pytest.param(name, marks=pytest.mark.slow) for name in ("transpose", "nearest", "linear"))],
)
def test_saved_and_loaded(network, upsampling, tmp_path):
    model = randomize(thick(network, upsampling=upsampling, kernel_size=[(3, 3, 1), 3, (3, 3, 1)]))
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 2, 1)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.architecture == model.architecture
    np.testing.assert_allclose(outputs_of(loaded, images), outputs_of(model, images), atol=1e-6)


def test_kernels_by_level():
    model = thick(models.UNet, kernel_size=[(3, 3, 1), 3, 1])
    kernels = {stage: model.get_layer(f"{stage}_conv_1").kernel.shape[:3] for stage in ("encoder_1", "decoder_2")}
    assert kernels == {"encoder_1": (3, 3, 1), "decoder_2": (3, 3, 3)}
    assert model.get_layer("bottleneck_conv_2").kernel.shape[:3] == (1, 1, 1)
    flat = thick(models.UNet, kernel_size=(3, 3, 1))
    assert flat.get_layer("bottleneck_conv_2").kernel.shape[:3] == (3, 3, 1)


@every_network
def test_twos_everywhere_are_the_network_without_the_argument(network):
    plain = randomize(tiny(network, 3))
    model = randomize(tiny(network, 3, pool_sizes=[[2, 2, 2]]))
    assert [w.path for w in model.weights] == [w.path for w in plain.weights]
    np.testing.assert_array_equal(outputs_of(model, image(3)), outputs_of(plain, image(3)))


def test_slices_that_are_never_pooled_are_slices_of_a_planar_network():
    """With kernels and pooling of one voxel along z, a 3-D U-Net is a 2-D one on each slice."""
    shared = {"num_classes": 3, "levels": 2, "filters": 3}
    solid = models.UNet((8, 8, 2, 1), kernel_size=(3, 3, 1), pool_sizes=[(2, 2, 1)] * 2, **shared)
    planar = models.UNet((8, 8, 1), **shared)
    randomize(planar)
    solid.set_weights([np.reshape(value, weight.shape) for value, weight in zip(planar.get_weights(), solid.weights)])
    images = np.random.default_rng(1).normal(size=(1, 8, 8, 2, 1)).astype("float32")
    expected = [outputs_of(planar, images[:, :, :, place]) for place in range(2)]
    np.testing.assert_allclose(outputs_of(solid, images), np.stack(expected, axis=3), atol=1e-5)


def test_refuses_a_size_that_does_not_fit_when_called():
    model = models.UNet((None, None, None, 1), 2, levels=2, filters=1, pool_sizes=POOL_SIZES)
    assert outputs_of(model, np.zeros((1, 8, 4, 2, 1), "float32")).shape == (1, 8, 4, 2, 2)
    with pytest.raises(
        ValueError, match=r"multiples of \(4, 4, 2\) .* got \(8, 8, 3\); the nearest that fit: \(8, 8, 2 or"
    ):
        model(np.zeros((1, 8, 8, 3, 1), "float32"))
