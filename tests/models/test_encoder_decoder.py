"""The skeleton: options, sizes, names and errors."""

import re

import keras
import numpy as np
import pytest
from keras.src.utils.naming import to_snake_case
from networks import every_network, every_network_in_a_rank, every_rank, image, outputs_of, randomize, tiny

from recalib_keras import layers, models


def classes_of(model):
    return {layer.name: type(layer) for layer in model.layers}


@every_rank
def test_filters_per_level(spatial_rank):
    model = tiny(models.UNet, spatial_rank, levels=2, filters=(2, 4, 6))
    widths = {name: model.get_layer(f"{name}_relu_2").output.shape for name in ("encoder_1", "encoder_2", "bottleneck")}
    assert widths == {
        "encoder_1": (None, *(8,) * spatial_rank, 2),
        "encoder_2": (None, *(4,) * spatial_rank, 4),
        "bottleneck": (None, *(2,) * spatial_rank, 6),
    }
    assert [model.get_layer(f"decoder_{level}_relu_2").output.shape[-1] for level in (1, 2)] == [2, 4]


@every_rank
@every_network
def test_blocks_are_those_of_the_papers(network, spatial_rank):
    model = network((16,) * spatial_rank + (1,), 2, filters=4)
    kernel = {models.UNet: 3, models.SDNet: 7, models.DenseNet: 5}[network] if spatial_rank == 2 else 3
    kernels = {
        "unet": {"_1": (kernel, 1), "_2": (kernel, 4)},
        "sdnet": {"": (kernel, 1)},
        "densenet": {"_1": (kernel, 1), "_2": (kernel, 1 + 4), "_gather": (1, 1 + 4 + 4)},
    }[model.name]
    for suffix, (size, channels) in kernels.items():
        assert model.get_layer(f"encoder_1_conv{suffix}").kernel.shape == (size,) * spatial_rank + (channels, 4)
    assert sum(name.startswith("encoder_1_conv") for name in classes_of(model)) == len(kernels)


@pytest.mark.parametrize(
    ("normalization", "layer_class"),
    [
        ("none", None),
        ("batch", layers.FoldedBatchNormalization),
        ("group", keras.layers.GroupNormalization),
        ("instance", layers.InstanceNormalization),
    ],
)
@every_rank
def test_normalization(normalization, layer_class, spatial_rank):
    model = tiny(models.UNet, spatial_rank, normalization=normalization)
    assert classes_of(model).get("encoder_1_norm_1") is layer_class
    assert model.get_layer("encoder_1_conv_1").use_bias == (normalization == "none")
    assert np.isfinite(outputs_of(model, image(spatial_rank))).all()


def test_instance_normalization_normalizes_each_map_of_each_sample():
    model = tiny(models.UNet, 3, normalization="instance")
    normalized = keras.Model(model.input, model.get_layer("encoder_1_norm_1").output)
    outputs = outputs_of(normalized, image(3))
    np.testing.assert_allclose(outputs.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(outputs.std(axis=(1, 2, 3)), 1, atol=0.05)


@pytest.mark.parametrize(("filters", "groups"), [(4, 4), (12, 4), (64, 8), (3, 1)])
def test_group_normalization_divides_any_number_of_maps(filters, groups):
    model = tiny(models.UNet, filters=filters, normalization="group")
    assert model.get_layer("encoder_1_norm_1").groups == groups


@pytest.mark.parametrize("upsampling", ["transpose", "unpool", "nearest", "linear"])
@every_network
@every_rank
def test_upsampling(upsampling, network, spatial_rank):
    model = tiny(network, spatial_rank, upsampling=upsampling)
    layer = model.get_layer("decoder_1_up")
    expected = {
        "transpose": getattr(keras.layers, f"Conv{spatial_rank}DTranspose"),
        "unpool": layers.MaxUnpooling,
    }
    assert type(layer) is expected.get(upsampling, layers.UpSampling)
    assert getattr(layer, "interpolation", upsampling) == upsampling
    assert outputs_of(model, image(spatial_rank)).shape == (2, *(8,) * spatial_rank, 3)


def test_unpooling_matches_other_numbers_of_maps():
    """A 1×1 convolution brings the maps below to as many as the pooling had, and only where they differ."""
    model = tiny(models.SDNet, levels=2, filters=(2, 4, 4))
    assert "decoder_2_up_match" not in classes_of(model)
    assert model.get_layer("decoder_1_up_match").kernel.shape == (1, 1, 4, 2)


@every_network
def test_dropout_acts_in_training_alone(network):
    model = tiny(network, dropout=0.5)
    names = [name for name, layer_class in classes_of(model).items() if layer_class is keras.layers.Dropout]
    assert names == ["encoder_1_dropout", "bottleneck_dropout", "decoder_1_dropout"]
    inputs = image()
    np.testing.assert_array_equal(outputs_of(model, inputs, training=False), outputs_of(model, inputs, training=False))
    assert not np.array_equal(outputs_of(model, inputs, training=True), outputs_of(model, inputs, training=True))
    assert not any("dropout" in name for name in classes_of(tiny(network)))


def test_logits_instead_of_probabilities():
    probable, logits = tiny(models.UNet), tiny(models.UNet, classifier_activation=None)
    logits.set_weights(probable.get_weights())
    scores = np.exp(outputs_of(logits, image()))
    np.testing.assert_allclose(outputs_of(probable, image()), scores / scores.sum(-1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize(
    ("network", "spatial_rank"),
    [(models.UNet, 2), (models.SDNet, 2), (models.DenseNet, 3)],
    ids=["unet", "sdnet", "densenet"],
)
def test_unknown_sizes_take_any_size_that_fits(network, spatial_rank):
    model = randomize(tiny(network, spatial_rank, size=None, recalibration="pe"))
    assert model.output_shape == (None, *(None,) * spatial_rank + (3,))
    inputs = image(spatial_rank, size=6)
    fixed = tiny(network, spatial_rank, size=6, recalibration="pe")
    fixed.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict_on_batch(inputs), outputs_of(fixed, inputs), rtol=1e-4, atol=1e-5)
    assert model.predict_on_batch(image(spatial_rank, size=4)).shape == (2, *(4,) * spatial_rank, 3)


def test_sizes_and_channels_may_differ():
    model = models.UNet((8, 12, 3), 2, levels=2, filters=4)
    assert outputs_of(model, np.ones((1, 8, 12, 3), "float32")).shape == (1, 8, 12, 2)


@every_network_in_a_rank
def test_layers_have_readable_names_that_every_build_repeats(network, spatial_rank):
    builds = [
        tiny(
            network,
            spatial_rank,
            levels=2,
            recalibration="scse",
            positions="P6",
            num_classes=4,
            dropout=0.1,
            size=16,
            patch_size=2,
            head_filters=8,
        )
        for _ in range(2)
    ]
    names, again = ([layer.name for layer in build.layers] for build in builds)
    assert names == again
    paths, paths_again = ([weight.path for weight in build.weights] for build in builds)
    assert paths == paths_again
    assert len(set(paths)) == len(paths)
    for layer in builds[0].layers:
        automatic = to_snake_case(type(layer).__name__)
        assert not re.fullmatch(rf"{automatic}(_\d+)?", layer.name), layer.name
        assert re.match(r"image|stem|(en|de)coder_[12]_|bottleneck_|classifier|classes|probabilities", layer.name)


@pytest.fixture
def channels_first():
    """The global setting "channels_first", for one test."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@every_network
@pytest.mark.parametrize("upsampling", ["unpool", "linear", "transpose"])
def test_global_channels_first_leaves_networks_channels_last(network, upsampling, channels_first):
    arguments = {"recalibration": "scse", "positions": "P6", "num_classes": 4, "upsampling": upsampling}
    model = tiny(network, **arguments)
    assert model.output_shape == (None, 8, 8, 4)
    formats = {getattr(layer, "data_format", "channels_last") for layer in model.layers}
    assert formats == {"channels_last"}


def test_global_channels_first_changes_no_output(channels_first):
    model = randomize(tiny(models.DenseNet, recalibration="scse"))
    outputs = outputs_of(model, image())
    keras.config.set_image_data_format("channels_last")
    again = tiny(models.DenseNet, recalibration="scse")
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(outputs, outputs_of(again, image()), rtol=1e-5, atol=1e-6)


@every_rank
def test_tiny_unet_equals_a_plain_reading(spatial_rank):
    """One level, kernel size 1, no blocks: matrix products, maxima, repetition by the kernel of stride 2."""
    model = randomize(tiny(models.UNet, spatial_rank, kernel_size=1))
    weights = {weight.path: keras.ops.convert_to_numpy(weight).astype("float64") for weight in model.weights}

    def convolve(x, name):
        kernel = weights[f"{name}/kernel"]
        return x @ kernel.reshape(kernel.shape[-2:]) + weights[f"{name}/bias"]

    def block(x, name):
        for suffix in ("_1", "_2"):
            x = np.maximum(convolve(x, f"{name}_conv{suffix}"), 0)
        return x

    x = image(spatial_rank).astype("float64")
    skip = block(x, "encoder_1")
    spatial = tuple(range(1, spatial_rank + 1))
    pooled = skip.reshape(2, *(4, 2) * spatial_rank, 4).max(axis=tuple(2 * axis for axis in spatial))
    below = block(pooled, "bottleneck")
    up = np.zeros((2, *(8,) * spatial_rank, 4))
    kernel = weights["decoder_1_up/kernel"]  # (2, 2, [2,] maps out, maps in)
    for place in np.ndindex(kernel.shape[:-2]):
        up[(slice(None), *(slice(start, None, 2) for start in place))] = below @ kernel[place].T
    joined = np.concatenate([up + weights["decoder_1_up/bias"], skip], axis=-1)
    scores = np.exp(convolve(block(joined, "decoder_1"), "classifier"))
    np.testing.assert_allclose(outputs_of(model, x), scores / scores.sum(axis=-1, keepdims=True), rtol=1e-4, atol=1e-6)


@every_network_in_a_rank
def test_patches_are_voxels_of_a_network_with_their_channels(network, spatial_rank):
    """It equals a network without patches that gets the voxels of each as channels, and predicts all their classes."""
    model = randomize(tiny(network, spatial_rank, patch_size=2, recalibration="pe", classifier_activation=None))
    voxels = 2**spatial_rank
    coarse = network(
        (4,) * spatial_rank + (voxels,),
        3 * voxels,
        levels=1,
        filters=4,
        kernel_size=3,
        recalibration="pe",
        recalibration_args={"reduction_ratio": 2},
        classifier_activation=None,
    )
    coarse.set_weights(model.get_weights())
    inputs = image(spatial_rank)
    blocks = layers.SpaceToDepth(data_format="channels_last")(inputs)
    expected = layers.DepthToSpace(data_format="channels_last")(coarse(blocks))
    outputs = outputs_of(model, inputs)
    assert outputs.shape == (2, *(8,) * spatial_rank, 3)
    np.testing.assert_allclose(outputs, keras.ops.convert_to_numpy(expected), rtol=1e-5, atol=1e-5)


@every_rank
def test_hidden_maps_stand_between_the_last_decoder_and_the_classifier(spatial_rank):
    model = randomize(tiny(models.UNet, spatial_rank, head_filters=6, classifier_activation=None))
    decoded = keras.Model(model.input, model.get_layer("classifier_hidden_conv").input)
    inputs, weights = image(spatial_rank), {v.path: keras.ops.convert_to_numpy(v) for v in model.weights}
    x = outputs_of(decoded, inputs)
    for layer, follows in (("classifier_hidden_conv", lambda x: np.maximum(x, 0)), ("classifier", lambda x: x)):
        x = follows(x @ weights[f"{layer}/kernel"].reshape(x.shape[-1], -1) + weights[f"{layer}/bias"])
    assert weights["classifier/kernel"].shape[-2:] == (6, 3)
    np.testing.assert_allclose(outputs_of(model, inputs), x, rtol=1e-4, atol=1e-5)


def test_a_network_of_patches_takes_any_size_that_fits():
    model = tiny(models.DenseNet, 3, size=None, patch_size=2)
    assert outputs_of(model, image(3, size=12)).shape == (2, 12, 12, 12, 3)
    message = r"multiple of 4 \(2 to the number of levels, 1, times `patch_size`, 2\), .*fit: \(4 or 8, 8, 8\)"
    with pytest.raises(ValueError, match=message):
        model(np.ones((1, 6, 8, 8, 1), "float32"))


@every_network
def test_refuses_sizes_that_the_levels_do_not_divide_when_called(network):
    model = tiny(network, size=None, levels=2)
    with pytest.raises(ValueError, match=r"got \(6, 8\); the nearest that fit: \(4 or 8, 8\)"):
        model(np.ones((1, 6, 8, 1), "float32"))
    with pytest.raises(ValueError, match=r"nearest that fit: \(4 or 8, 8\)"):
        model.predict_on_batch(np.ones((1, 6, 8, 1), "float32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 0}, "expected `levels` to be at least 1, got 0"),
        ({"normalization": "layer"}, r"expected `normalization` to be one of \('none', .*, got 'layer'"),
        ({"recalibration": "scce"}, "expected `recalibration` to be None, .* got 'scce'; did you mean 'scse'"),
    ],
    ids=str,
)
@every_network
def test_refuses_what_the_architecture_refuses(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny(network, **arguments)


def test_former_names_of_arguments_in_a_config():
    """Networks saved before `stem` became `patch_size` still load."""
    model = tiny(models.UNet, patch_size=2)
    config = model.get_config()
    config["stem"] = config.pop("patch_size")
    again = models.UNet.from_config(config)
    assert again.get_config() == model.get_config()
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]
