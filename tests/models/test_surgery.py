"""Blocks in models that were built without them: the output stays, whatever the model."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from networks import image, outputs_of, randomize, tiny

from recalib_keras import layers, models

RELOAD = """
import sys
import keras, numpy as np
import recalib_keras
folder = sys.argv[1]
model = keras.models.load_model(f"{folder}/model.keras")
np.save(f"{folder}/outputs.npy", keras.ops.convert_to_numpy(model(np.load(f"{folder}/inputs.npy"))))
"""


def in_words(value):
    """Returns an argument as text, without the address of a function, which differs between processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def plain():
    """Two convolutions with batch normalization and a sum that is not a layer."""
    inputs = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv_1")(inputs)
    y = keras.layers.BatchNormalization(name="norm_1")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="conv_2")(y)
    x = keras.layers.Dense(3, name="head")(keras.layers.GlobalAveragePooling2D(name="pool")(x + y))
    return randomize(keras.Model(inputs, x, name="plain"))


def same(model, grafted, inputs):
    """Whether two models give the same numbers, bit by bit."""
    both = (keras.tree.flatten(one(inputs, training=False)) for one in (model, grafted))
    return all(np.array_equal(*map(keras.ops.convert_to_numpy, pair)) for pair in zip(*both, strict=True))


def block_names(model):
    return [layer.name for layer in model.layers if layer.name.endswith("_recalibration")]


@pytest.mark.parametrize("block", models.RECALIBRATIONS)
def test_output_and_weights_stay(block):
    model, inputs = plain(), array(2, 8, 8, 2)
    names, before = [layer.name for layer in model.layers], outputs_of(model, inputs)
    arguments = {"cbam": {"reduction_ratio": 2}, "segse": {"reduction_ratio": 2}}.get(block, {})
    grafted = models.graft(model, block, at="conv_*", **arguments)
    assert same(model, grafted, inputs)
    assert block_names(grafted) == ["conv_1_recalibration", "conv_2_recalibration"]
    assert type(grafted.get_layer("conv_1_recalibration")) is models.RECALIBRATIONS[block]
    for layer in model.layers:
        copied = grafted.get_layer(layer.name)
        assert copied is not layer
        assert all(map(np.array_equal, layer.get_weights(), copied.get_weights()))
    assert [layer.name for layer in model.layers] == names  # the model itself is as it was
    np.testing.assert_array_equal(outputs_of(model, inputs), before)


def test_blocks_act_and_learn_while_the_model_stays():
    model, inputs = plain(), array(4, 8, 8, 2)
    before = outputs_of(model, inputs)
    grafted = models.graft(model, at="conv_1")
    block = grafted.get_layer("conv_1_recalibration")
    start = block.get_weights()
    grafted.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    losses = grafted.fit(inputs, array(4, 3, seed=1), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert not all(map(np.array_equal, start, block.get_weights()))
    np.testing.assert_array_equal(outputs_of(model, inputs), before)


def test_a_backbone_of_keras():
    model = keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=2)
    grafted = models.graft(model, "cse", at="conv_pw_[24]_relu", reduction_ratio=4)
    assert block_names(grafted) == ["conv_pw_2_relu_recalibration", "conv_pw_4_relu_recalibration"]
    assert same(model, grafted, array(1, 32, 32, 3))


@pytest.mark.slow
def test_a_backbone_of_keras_is_fine_tuned():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=2)
    grafted = models.graft(model, "scse", at="block_[245]_add", reduction_ratio=4)
    inputs = array(8, 32, 32, 3)
    assert same(model, grafted, inputs)
    start = grafted.get_layer("block_4_add_recalibration").get_weights()
    grafted.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    losses = grafted.fit(inputs, np.arange(8) % 2, batch_size=8, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert not all(map(np.array_equal, start, grafted.get_layer("block_4_add_recalibration").get_weights()))


@pytest.mark.slow
def test_saved_and_loaded_in_a_fresh_process(tmp_path):
    model, inputs = plain(), array(2, 8, 8, 2)
    grafted = models.graft(model, "cbam", at=["conv_1", "add*"], reduction_ratio=2)
    grafted.save(tmp_path / "model.keras")
    np.save(tmp_path / "inputs.npy", inputs)
    subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path)], check=True, capture_output=True, env={**os.environ})
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), outputs_of(model, inputs))


def test_operations_are_matched_by_name():
    model = plain()
    (name,) = (layer.name for layer in model.operations if layer.name.startswith("add"))
    grafted = models.graft(model, at=name)
    assert block_names(grafted) == [f"{name}_recalibration"]
    assert same(model, grafted, array(2, 8, 8, 2))


def test_outputs_of_layers_are_those_of_the_new_model():
    grafted = models.graft(plain(), at="conv_1")
    features = keras.Model(grafted.input, grafted.get_layer("conv_2").output)
    assert "conv_1_recalibration" in [layer.name for layer in features.layers]


def test_grafting_twice_at_one_place():
    model = plain()
    once = models.graft(model, "cse", at="conv_1")
    twice = models.graft(once, "sse", at="conv_1")
    assert sorted(block_names(once)) == ["conv_1_recalibration"]
    kinds = {type(layer) for layer in twice.layers if layer.name.startswith("conv_1_recalibration")}
    assert kinds == {layers.ChannelSE, layers.SpatialSE}
    assert same(model, twice, array(2, 8, 8, 2))


def test_a_sequential_model():
    stack = [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.Flatten()]
    model = randomize(keras.Sequential(stack, name="stack"))
    grafted = models.graft(model, "pe", at="conv")
    assert same(model, grafted, array(2, 8, 8, 1))
    assert [layer.name for layer in grafted.layers[1:]] == ["conv", "conv_recalibration", model.layers[-1].name]


@pytest.mark.parametrize("network", [models.UNet, models.DenseNet])
def test_our_own_networks(network):
    model = randomize(tiny(network, 3))
    grafted = models.graft(model, "pe", at="*_relu_2")
    assert same(model, grafted, image(3))
    assert grafted.supports_jit == model.supports_jit


def test_several_inputs_and_outputs():
    scans = {name: keras.Input((8, 8, 1), name=name) for name in ("t1", "t2")}
    both = keras.layers.Concatenate(name="both")([scans["t1"], scans["t2"]])
    x = keras.layers.Conv2D(4, 3, name="conv")(both)
    outputs = {"map": keras.layers.Conv2D(2, 1, name="map")(x), "rest": [keras.layers.GlobalMaxPooling2D()(x), both]}
    model = randomize(keras.Model(scans, outputs))
    grafted = models.graft(model, at="conv")
    inputs = {"t1": array(2, 8, 8, 1), "t2": array(2, 8, 8, 1, seed=1)}
    assert same(model, grafted, inputs)
    assert grafted(inputs).keys() == outputs.keys()


def nested():
    """A model in a model in a model, the middle one called twice and used in part."""
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1, name="conv")], name="inner")
    middle_inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="norm")(inner(middle_inputs))
    middle = keras.Model(middle_inputs, keras.layers.Add(name="add")([x, middle_inputs]), name="middle")
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 1, name="conv")(middle(middle(inputs), training=False))
    return randomize(keras.Model(inputs, [x, middle.get_layer("inner")(x)], name="outer"))


@pytest.mark.parametrize(
    ("at", "paths"),
    [
        ("middle/inner/conv", {"inner"}),
        ("inner/conv", {"inner"}),
        ("middle/*", {"inner", "middle", "outer"}),  # the outer model calls `inner`, too
        ("*/conv", {"inner"}),
        ("conv", {"outer", "inner"}),
        ("middle", {"outer"}),
        ("add", {"middle"}),
        (keras.layers.Add, {"middle"}),
    ],
)
def test_nested_models(at, paths):
    model = nested()
    grafted = models.graft(model, at=at)
    assert same(model, grafted, array(2, 8, 8, 3))
    outer = {"outer": grafted, "middle": grafted.get_layer("middle"), "inner": grafted.get_layer("inner")}
    assert {name for name, part in outer.items() if block_names(part)} == paths
    assert outer["middle"].get_layer("inner") is outer["inner"]  # it stays shared


def test_shared_layers_share_their_block():
    inputs = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    conv = keras.layers.Conv2D(4, 3, name="conv")
    model = randomize(keras.Model(inputs, keras.layers.Subtract()([conv(one) for one in inputs])))
    grafted = models.graft(model, at="conv")
    scans = [array(2, 8, 8, 1), array(2, 8, 8, 1, seed=1)]
    assert same(model, grafted, scans)
    assert len(block_names(grafted)) == 1
    randomize(grafted)
    alike = outputs_of(grafted, [scans[0], scans[0]])
    np.testing.assert_array_equal(alike, np.zeros_like(alike))


def test_shared_layers_whose_calls_differ():
    inputs, relu = keras.Input((8, 8, 1)), keras.layers.ReLU(name="relu")
    x = relu(keras.layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, relu(keras.layers.Conv2D(6, 3)(x)))
    with pytest.raises(ValueError, match=r"fits after 'relu', got an error: .*; the calls of a layer share one block"):
        models.graft(model, at="relu")


@pytest.mark.parametrize("spatial_rank", [1, 2, 3])
@pytest.mark.parametrize("has_own", [True, False])
def test_channels_first(spatial_rank, has_own):
    """A layer without a data format has that of the others."""
    inputs = keras.Input((3, *(8,) * spatial_rank))
    pool = getattr(keras.layers, f"AveragePooling{spatial_rank}D")
    x = pool(2, data_format="channels_first", name="pool")(inputs)
    model = keras.Model(inputs, keras.layers.ReLU(name="relu")(x))
    grafted = models.graft(model, "cse", at="pool" if has_own else "relu")
    (name,) = block_names(grafted)
    assert (grafted.get_layer(name).data_format, grafted.get_layer(name).channels) == ("channels_first", 3)


def test_channels_first_gates_act_on_channels():
    inputs = keras.Input((3, 8, 8))
    model = keras.Model(inputs, keras.layers.ReLU(name="relu")(inputs))
    grafted = models.graft(model, "cse", at="relu", data_format="channels_first")
    randomize(grafted)
    scan = np.abs(array(2, 3, 8, 8)) + 0.1
    gates = outputs_of(grafted, scan) / scan
    np.testing.assert_allclose(gates, np.broadcast_to(gates[:, :, :1, :1], gates.shape), rtol=1e-5)
    assert np.ptp(gates[0, :, 0, 0]) > 1e-3


class Halved(keras.layers.Layer):
    """A block of one's own, without an identity start."""

    def call(self, inputs):
        return inputs / 2


@pytest.mark.parametrize(
    ("block", "ratio"),
    [
        (layers.ChannelSE, 2),
        (layers.ChannelSE(4), 4),
        (lambda: layers.ChannelSE(4, use_identity_start=True), 4),
        (lambda before: layers.ChannelSE(before.filters, use_identity_start=True, name=f"{before.name}_gate"), 4),
    ],
    ids=["class", "layer", "function", "function of a layer"],
)
def test_blocks_by_class_layer_and_function(block, ratio):
    model = plain()
    grafted = models.graft(model, block, at="conv_*")
    blocks = [layer for layer in grafted.layers if isinstance(layer, layers.ChannelSE)]
    assert [one.reduction_ratio for one in blocks] == [ratio, ratio]
    assert len({id(one) for one in blocks}) == 2
    assert same(model, grafted, array(2, 8, 8, 2))


def test_arguments_are_passed_on():
    grafted = models.graft(plain(), "scse", at="conv_1", use_identity_start=False, aggregation="add", use_bias=False)
    block = grafted.get_layer("conv_1_recalibration")
    assert (block.aggregation, block.use_bias, block.use_identity_start) == ("add", False, False)


def test_a_block_of_ones_own():
    model, inputs = plain(), array(2, 8, 8, 2)
    grafted = models.graft(model, Halved, at="add*", use_identity_start=False)
    bias = model.get_layer("head").bias
    expected = outputs_of(model, inputs) - (outputs_of(model, inputs) - np.asarray(bias)) / 2
    np.testing.assert_allclose(outputs_of(grafted, inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = plain()
        grafted = models.graft(model, at=["conv_*", "add*"])
        assert same(model, grafted, array(2, 8, 8, 2))
        assert grafted.get_layer("conv_1_recalibration").dtype_policy.name == policy
    finally:
        keras.config.set_dtype_policy("float32")


def test_layers_with_a_state_of_their_own():
    inputs = keras.Input((8, 8, 3))
    normalization = keras.layers.Normalization(axis=-1)
    normalization.adapt(array(4, 8, 8, 3) * 3 + 1)
    x = keras.layers.Lambda(lambda x: x * 2, name="twice")(normalization(inputs))
    frozen = keras.layers.Conv2D(4, 1, trainable=False, name="conv")
    model = keras.Model(inputs, frozen(x))
    grafted = models.graft(model, at="conv")
    assert same(model, grafted, array(2, 8, 8, 3))
    assert not grafted.get_layer("conv").trainable
    assert {weight.path.split("/")[0] for weight in grafted.trainable_weights} == {"conv_recalibration"}


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(4, 3, name="hidden_conv")

    def call(self, inputs):
        return self.conv(inputs)


class Doubled(keras.Model):
    """A Functional model whose own `call` does more than its layers."""

    def __init__(self):
        inputs = keras.Input((8, 8, 1))
        super().__init__(inputs, keras.layers.Conv2D(4, 3, name="conv")(inputs), name="doubled")

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


class Forgetful(keras.layers.Layer):
    def __init__(self, function):
        super().__init__(name="forgetful")
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def with_layer(layer, shape=(8, 8, 1)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.ReLU(name="relu")(layer(inputs)))


def test_a_subclassed_model_inside_is_copied_whole():
    model = randomize(with_layer(Subclassed(name="body")))
    grafted = models.graft(model, at="body")
    assert same(model, grafted, array(2, 8, 8, 1))
    with pytest.raises(ValueError, match="layers inside body, with its own `call`, cannot be reached"):
        models.graft(model, at="hidden_conv")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: Subclassed(name="mine"),
            "graph of layers, .*, got 'mine' of the class Subclassed, which has its own `call`",
        ),
        (Doubled, r"class Doubled, which has its own `call`; give `keras.Model\(model.input, model.output\)` if"),
        (
            lambda: keras.Sequential([keras.layers.Conv2D(4, 3, name="conv")], name="stack"),
            r"expected a model that is built, got the Sequential 'stack' without an input shape; call its `build",
        ),
        (
            lambda: with_layer(Forgetful(keras.ops.relu)),
            "again from their config, .*, got 'forgetful' of the class Forgetful: .*; correct the",
        ),
    ],
)
def test_models_that_cannot_be_grafted(model, message):
    with pytest.raises(ValueError, match=message):
        models.graft(model(), at="*[ec]*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at": "cnv_*"}, "got 'cnv_\\*', which matches none; did you mean 'conv_2'"),
        ({"at": ["conv_1", "xyz"]}, "got 'xyz', which matches none; the model has conv_1, norm_1, conv_2, "),
        ({"at": keras.layers.Conv3D}, "got Conv3D, which matches none; the model has conv_1"),
        ({"at": lambda layer: False}, "got <lambda>, which matches none"),
        ({}, "expected `at` to name layers, got None; the model has conv_1, norm_1"),
        ({"at": "head"}, r"of 1 to 3 spatial axes, got 'head' with the output \(None, 3\) of type float32; name other"),
        ({"at": "conv_1", "block": "scce"}, "expected `block` to be one of cse, .*, got 'scce'; did you mean 'scse'"),
        ({"at": "conv_1", "block": "zzz"}, "got 'zzz'; or give a layer class"),
        ({"at": "conv_1", "reduction": 2}, "of ChannelSpatialSE, got 'reduction'; did you mean 'reduction_ratio'"),
        (
            {"at": "conv_1", "reduction_ratio": 9},
            "fits after 'conv_1', got an error: .*between 1 and .* channels, 4, got",
        ),
        ({"at": "conv_1", "aggregation": "concat"}, r"fits after 'conv_1', .* one of \('max', 'add'\)"),
        (
            {"at": "conv_1", "aggregation": "concat", "use_identity_start": False},
            r"to keep the shape \(None, 8, 8, 4\), got \(None, 8, 8, 8\)",
        ),
        ({"at": "conv_1", "block": Halved}, "that takes `use_identity_start`, got Halved; graft with"),
        (
            {"at": "conv_1", "block": lambda: Halved()},
            "expected a block that starts as the identity, got a Halved that does not; make it with",
        ),
        ({"at": "conv_1", "block": lambda: 3}, "expected `block` to return a layer, got int; return a"),
        ({"at": "conv_1", "block": lambda: None, "use_bias": True}, "no arguments beside a function, got use_bias"),
    ],
    ids=in_words,
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.graft(plain(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "mobilenet", "at": "*"}, "expected `model` to be a Keras model, got str"),
        ({"at": 3}, "expected `at` to be a pattern, a function of a layer or a layer class, got int"),
        ({"at": "conv_1", "block": 3}, "expected `block` to be a name, a layer class, a layer or a function, got int"),
        ({"at": "conv_1", "block": dict}, "expected `block` to be a layer class, got the class dict"),
    ],
    ids=in_words,
)
def test_wrong_types(arguments, message):
    with pytest.raises(TypeError, match=message):
        models.graft(**{"model": plain(), **arguments})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.MaxPoolingWithIndices(name="body"), "got 'body' with several outputs"),
        (keras.layers.Flatten(name="body"), r"got 'body' with the output \(None, 64\) of type float32"),
        (keras.layers.Rescaling(1, dtype="int32", name="body"), "got 'body' with the output .* of type int32"),
    ],
)
def test_outputs_that_are_no_feature_map(layer, message):
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(ValueError, match=message):
        models.graft(model, at="body")


@pytest.mark.slow
def test_a_segmentation_model_of_kerashub():
    keras_hub = pytest.importorskip("keras_hub")
    encoder = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=encoder,
        projection_filters=4,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[2, 4],
        image_shape=(32, 32, 3),
    )
    model = keras_hub.models.DeepLabV3ImageSegmenter(backbone, num_classes=2, preprocessor=None)
    grafted = models.graft(model, "scse", at=["stack3_*_add", "*/spatial_pyramid_pooling"])
    inputs = array(2, 32, 32, 3)
    assert same(model, grafted, inputs)
    assert grafted.count_params() > model.count_params()
    grafted.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = grafted.fit(inputs, inputs[..., 0] > 0, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert not same(model, grafted, inputs)
