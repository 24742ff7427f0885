"""Pretrained networks for other channels and other heads: `zoo.load(..., channels=, classifier_activation=)`."""

import dataclasses
import re

import keras
import numpy as np
import pytest

from recalib_keras import zoo
from recalib_keras.zoo import weights
from recalib_keras.zoo.preset import Preset, WeightSet

LABELS = (zoo.Label(0, "background"), zoo.Label(1, "left", mirror=2), zoo.Label(2, "right", mirror=1))


def write_preset(folder, architecture="UNet", window=(8, 8, 8), context=0, channels=None, **arguments):
    """Writes a preset of a network with random weights; returns its folder."""
    described = WeightSet(
        title="anything",
        network=zoo.Network(architecture, {"levels": 1, "filters": 4, "recalibration": "scse", **arguments}),
        input=zoo.Input(window, context=context, channels=channels),
        labels=LABELS,
        file="any.safetensors",
        sha256="",
        parameters=0,
    )
    content = weights.serialize(described.build())
    folder.mkdir(parents=True)
    (folder / described.file).write_bytes(content)
    described = dataclasses.replace(described, sha256=weights.sha256(content))
    (folder / "preset.json").write_text(Preset("any", {"any": described}).to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return write_preset(tmp_path_factory.mktemp("presets") / "any")


def outputs(model, images):
    return keras.ops.convert_to_numpy(model(images))


def images_for(model, seed=0):
    return np.random.default_rng(seed).normal(size=(1, *model.input_shape[1:])).astype("float32")


def kernel(model, layer="encoder_1_conv_1"):
    return keras.ops.convert_to_numpy(model.get_layer(layer).kernel)


PLANAR = {"window": (1, 8, 8)}


@pytest.mark.parametrize("channels", [3])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        PLANAR,
        {**PLANAR, "context": 1},
        pytest.param({"patch_size": 2, "normalization": "instance"}, marks=pytest.mark.slow),
        pytest.param({"architecture": "SDNet"}, marks=pytest.mark.slow),
        pytest.param({"architecture": "DenseNet", "patch_size": 2}, marks=pytest.mark.slow),
        {"architecture": "DenseNet", **PLANAR, "context": 1, "patch_size": 2},
        {"pool_sizes": [[2, 2, 1]], "window": (8, 8, 3)},
    ],
    ids=str,
)
def test_images_whose_channels_are_alike_give_the_output_of_the_original(arguments, channels, tmp_path):
    folder = write_preset(tmp_path / "preset", **arguments)
    original, adapted = zoo.load(folder), zoo.load(folder, channels=channels)
    images = images_for(original)
    assert adapted.input_shape[-1] == channels * original.input_shape[-1]
    alike = np.concatenate([images] * channels, axis=-1)
    np.testing.assert_allclose(outputs(adapted, alike), outputs(original, images), atol=1e-5)
    different = np.concatenate([images] + [-images] * (channels - 1), axis=-1)
    assert np.abs(outputs(adapted, different) - outputs(original, images)).max() > 1e-4


def test_colours_of_a_planar_network(tmp_path):
    folder = write_preset(tmp_path / "preset", **PLANAR)
    model = zoo.load(folder, channels=3, input_shape=(None, None, 3), num_classes=1)
    assert (model.input_shape, model.output_shape) == ((None, None, None, 3), (None, None, None, 1))
    trained = kernel(zoo.load(folder))
    np.testing.assert_allclose(kernel(model), np.repeat(trained / 3, 3, axis=-2), atol=1e-7)


@pytest.mark.parametrize(
    ("wanted", "shares"),
    [
        (1, [[1, 1, 1]]),
        (2, [[1, 0, 1], [0, 1, 0]]),
        (3, np.eye(3)),
        (4, [[0.5, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0]]),
        (6, np.tile(np.eye(3) / 2, (2, 1))),
    ],
)
def test_several_trained_channels_are_matched_in_turn(wanted, shares, tmp_path):
    folder = write_preset(tmp_path / "preset", channels=("R", "G", "B"))
    trained, adapted = kernel(zoo.load(folder)), kernel(zoo.load(folder, channels=wanted))
    np.testing.assert_allclose(adapted, np.einsum("wt,xyztf->xyzwf", shares, trained), atol=1e-6)


def test_slices_of_each_channel_follow_each_other(tmp_path):
    folder = write_preset(tmp_path / "preset", window=(1, 8, 8), context=1)
    trained, adapted = kernel(zoo.load(folder)), kernel(zoo.load(folder, channels=2))
    for channel in range(2):
        np.testing.assert_allclose(adapted[:, :, 3 * channel : 3 * channel + 3], trained / 2, atol=1e-7)


def test_everything_but_the_first_kernels_is_kept(preset):
    before, after = zoo.load(preset), zoo.load(preset, channels=4)
    ours, theirs = ({v.path: keras.ops.convert_to_numpy(v) for v in model.weights} for model in (before, after))
    assert {path for path in ours if not np.array_equal(ours[path], theirs[path])} == {"encoder_1_conv_1/kernel"}


def test_saved_and_loaded(preset, tmp_path):
    model = zoo.load(preset, channels=4, num_classes=2, classifier_activation="sigmoid")
    images = images_for(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(loaded, images), outputs(model, images), atol=1e-6)


def test_fresh_weights_for_other_channels(preset):
    assert zoo.load(preset, weights=None, channels=2).input_shape[-1] == 2


def test_a_shape_of_other_channels_names_the_argument(preset):
    with pytest.raises(ValueError, match=r"expected `input_shape` to end with 1, got \(8, 8, 8, 4\); give `channels`"):
        zoo.load(preset, input_shape=(8, 8, 8, 4))
    assert zoo.load(preset, input_shape=(16, 8, 8, 4), channels=4).input_shape == (None, 16, 8, 8, 4)
    with pytest.raises(ValueError, match="expected `channels` to be at least 1, got 0"):
        zoo.load(preset, channels=0)


def test_a_binary_head(preset):
    model = zoo.load(preset, num_classes=1)
    assert model.architecture.classifier_activation == "sigmoid" and model.output_shape[-1] == 1
    logits = zoo.load(preset, num_classes=1, classifier_activation=None)
    logits.set_weights(model.get_weights())
    images = images_for(model)
    np.testing.assert_allclose(outputs(model, images), 1 / (1 + np.exp(-outputs(logits, images))), atol=1e-6)


def test_a_head_of_several_structures_starts_anew_and_one_of_logits_is_kept(preset):
    trained = zoo.load(preset)
    several = zoo.load(preset, classifier_activation="sigmoid")
    assert several.output_shape[-1] == len(LABELS) - 1
    assert not np.array_equal(kernel(zoo.load(preset, num_classes=3, classifier_activation="sigmoid"), "classifier"),
                              kernel(trained, "classifier"))  # fmt: skip
    logits = zoo.load(preset, classifier_activation=None)
    np.testing.assert_array_equal(kernel(logits, "classifier"), kernel(trained, "classifier"))


def test_a_preset_of_structures_with_probabilities_of_their_own(tmp_path):
    folder = write_preset(tmp_path / "preset", classifier_activation="sigmoid", channels=("FLAIR", "T1w"))
    model = zoo.load(folder)
    assert (model.input_shape[-1], model.output_shape[-1]) == (2, 2)
    assert re.search("channels +FLAIR, T1w", repr(zoo.weight_set(folder)))
    assert zoo.load(folder, classifier_activation=None).output_shape[-1] == 2


def test_a_normalization_before_the_first_kernel_is_adapted_too(tmp_path):
    """The authors' dense blocks normalise the image itself."""
    arguments = {"architecture": "DenseNet", "convention": "authors", "recalibration": None}
    folder = write_preset(tmp_path / "authors", **arguments)
    original, adapted = zoo.load(folder), zoo.load(folder, channels=3)
    images = images_for(original)
    assert adapted.get_layer("encoder_1_norm_1").gamma.shape == (3,)
    expected = outputs(original, images)
    np.testing.assert_allclose(outputs(adapted, np.repeat(images, 3, axis=-1)), expected, atol=1e-5)


def test_a_normalization_of_channels_that_meet_is_their_mean(tmp_path):
    arguments = {"architecture": "DenseNet", "convention": "authors", "recalibration": None}
    folder = write_preset(tmp_path / "authors", channels=("t1", "t2", "flair"), **arguments)
    means = zoo.load(folder).get_layer("encoder_1_norm_1").gamma.numpy()
    found = zoo.load(folder, channels=1).get_layer("encoder_1_norm_1").gamma.numpy()
    np.testing.assert_allclose(found, means.mean(keepdims=True), rtol=1e-6)
