"""Feature maps of all levels: their names, strides, channels and values, and that they train and save."""

import keras
import numpy as np
import pytest
from networks import every_network, image, outputs_of, randomize, tiny

from recalib_keras import models

DEEP = {"levels": 2, "filters": (4, 6, 8), "recalibration": "cse", "recalibration_args": {"reduction_ratio": 2}}


@every_network
def test_maps_of_every_level(network):
    pyramid = models.features(tiny(network, **DEEP))
    assert pyramid.strides == {"encoder_1": 1, "encoder_2": 2, "bottleneck": 4}
    assert pyramid.channels == {"encoder_1": 4, "encoder_2": 6, "bottleneck": 8}
    shapes = {stage: tuple(found.shape) for stage, found in pyramid(image()).items()}
    assert shapes == {"encoder_1": (2, 8, 8, 4), "encoder_2": (2, 4, 4, 6), "bottleneck": (2, 2, 2, 8)}
    assert repr(pyramid).startswith(f"<FeaturePyramid {network.__name__.lower()}_features (encoder_1: 4 channels, st")


@every_network
def test_maps_are_what_the_next_layer_sees(network):
    """The classifier of the last decoder's map gives the network's output; blocks come before."""
    model = randomize(tiny(network, **DEEP))
    pyramid = models.features(model, "decoder")
    assert list(pyramid.strides) == list(pyramid.output) == ["bottleneck", "decoder_2", "decoder_1"]
    maps = pyramid(image())
    expected = outputs_of(model, image())
    found = model.get_layer("probabilities")(model.get_layer("classifier")(maps["decoder_1"]))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=1e-5)
    pooled = keras.Model(model.input, model.get_layer("encoder_1_recalibration").output)
    first = keras.ops.convert_to_numpy(models.features(model)(image())["encoder_1"])
    np.testing.assert_array_equal(outputs_of(pooled, image()), first)


def test_all_maps_of_patches_in_any_size():
    model = tiny(models.UNet, 3, size=None, patch_size=2, **DEEP)
    pyramid = models.features(model, "all")
    assert pyramid.strides == {"encoder_1": 2, "encoder_2": 4, "bottleneck": 8, "decoder_2": 4, "decoder_1": 2}


def test_another_head_trains_and_loads_again(tmp_path):
    pyramid = models.features(tiny(models.UNet, **DEEP))
    models.freeze(pyramid, "encoder")
    pooled = keras.layers.GlobalAveragePooling2D()(pyramid(pyramid.input)["bottleneck"])
    model = keras.Model(pyramid.input, keras.layers.Dense(1)(pooled))
    model.compile("sgd", "mse")
    model.fit(image(), np.ones((2, 1)), verbose=0)
    model.save(tmp_path / "age.keras")
    again = keras.saving.load_model(tmp_path / "age.keras")
    np.testing.assert_allclose(outputs_of(again, image()), outputs_of(model, image()), atol=1e-6)
    assert len(again.trainable_weights) == len(model.trainable_weights)
    assert again.get_layer("unet_features").strides == pyramid.strides


def test_an_unknown_part():
    with pytest.raises(ValueError, match="expected `part` to be one of encoder, decoder, all, got 'decoders'; did you"):
        models.features(tiny(models.UNet), "decoders")


def test_a_model_without_stages():
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs), name="mine")
    with pytest.raises(ValueError, match=r"expected a network of recalib_keras.models, .*got 'mine' without any"):
        models.features(model)
