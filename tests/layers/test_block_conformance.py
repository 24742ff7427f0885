"""Every block passes Keras's own conformance test, and survives saving, tracing and unknown sizes."""

import itertools

import keras
import numpy as np
import pytest
from blocks import (
    BLOCKS,
    SIZES,
    every_block,
    every_data_format,
    feature_map,
    numpy,
    to_channels_last,
    to_data_format,
    weights_of,
)
from conformance import check_conformance

POLICIES = ["mixed_bfloat16", "mixed_float16", "float64"]


# The aggregations of scSE differ in one line: "max" is tried in every rank, each of the others in one.
AGGREGATIONS = {"scse_add": 1, "scse_multiply": 2, "scse_concat": 3}
# Keras's test saves, trains and compiles each block: two ranks of each take a minute on every backend.
CONFORMANCE = [
    *((name, 3) for name in BLOCKS if name not in AGGREGATIONS),
    *[("cse", 2), ("pe", 1)],
    *(
        pytest.param(name, rank, marks=pytest.mark.slow)
        for name, rank in itertools.product(BLOCKS, [1, 2])
        if name not in AGGREGATIONS and (name, rank) not in (("cse", 2), ("pe", 1))
    ),
    *AGGREGATIONS.items(),
]


@pytest.mark.parametrize(("name", "spatial_rank"), CONFORMANCE)
def test_keras_conformance(name, spatial_rank):
    block = BLOCKS[name]
    # One data format a rank, to spare compilations; the formulas are tested in both.
    data_format = "channels_first" if spatial_rank == 2 else "channels_last"
    input_shape = to_data_format(feature_map(spatial_rank), data_format).shape
    output_shape = to_data_format(np.empty((2, *SIZES[:spatial_rank], 8 * block.widening)), data_format).shape
    check_conformance(
        block.layer_class,
        {**block.arguments, "data_format": data_format},
        input_shape=input_shape,
        expected_output_shape=output_shape,
        expected_num_non_trainable_variables=0,
        expected_num_losses=0,
    )


@every_block
@pytest.mark.parametrize("policy", POLICIES)
def test_dtype_policy_reaches_output_and_all_weights(block, policy):
    if policy == "float64" and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras promotes float64 to float32 on the other backends")
    layer = block.layer(dtype=policy)
    outputs = layer(feature_map(2))
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    assert {weight.dtype for weight in layer.weights} == {"float64" if policy == "float64" else "float32"}


@every_block
def test_config_restores_every_argument(block):
    arguments = {**block.arguments, "use_bias": False, "data_format": "channels_first", "dtype": "mixed_bfloat16"}
    layer = block.layer_class(**arguments, name="mine")
    config = block.layer_class.from_config(layer.get_config()).get_config()
    assert config == layer.get_config()
    assert {name: config[name] for name in block.arguments} == block.arguments
    assert (config["name"], config["use_bias"], config["data_format"]) == ("mine", False, "channels_first")


@every_block
def test_saved_model_gives_same_outputs(block, tmp_path):
    inputs = feature_map(3)
    image = keras.Input(inputs.shape[1:])
    model = keras.Model(image, block.randomized(inputs.shape, name="block")(image))
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(reloaded.get_layer("block")) is block.layer_class
    np.testing.assert_array_equal(numpy(reloaded(inputs)), numpy(model(inputs)))


@every_block
@every_data_format
def test_unknown_sizes_take_any_size(block, data_format):
    """The traced model (`predict`) gives what the formula gives, for sizes unknown when it was built."""
    shape = (8, None, None, None) if data_format == "channels_first" else (None, None, None, 8)
    image = keras.Input(shape)
    layer = block.randomized((None, *shape), data_format=data_format)
    model = keras.Model(image, layer(image))
    assert model.output_shape[1 if data_format == "channels_first" else -1] == 8 * block.widening
    for size in [(2, 3, 4), (4, 2, 5)]:
        inputs = np.random.default_rng(2).normal(size=(2, *size, 8)).astype("float32")
        outputs = model.predict_on_batch(to_data_format(inputs, data_format))
        expected = block.formula(inputs.astype("float64"), weights_of(layer))
        np.testing.assert_allclose(to_channels_last(outputs, data_format), expected, rtol=1e-5, atol=1e-5)


@every_block
def test_compiled_block_equals_eager_one(block):
    inputs = feature_map(2)
    layer = block.randomized(inputs.shape)
    model = keras.Sequential([layer])
    model.compile(jit_compile=keras.backend.backend() != "torch")  # torch.compile wants a C++ compiler
    np.testing.assert_allclose(model.predict_on_batch(inputs), numpy(layer(inputs)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("name", BLOCKS)
def test_variable_paths_are_named_by_their_part(name, use_bias):
    """Names that weights are stored and exchanged under: no two alike, none of them numbered by chance."""
    layer = BLOCKS[name].layer(name="block", use_bias=use_bias)
    layer.build((None, 4, 4, 8))
    parts = {
        "cse": ["reduce", "expand"],
        "sse": ["squeeze"],
        "scse": ["channel/reduce", "channel/expand", "spatial/squeeze"],
        "pe": ["reduce", "expand"],
        "segse": ["neighbourhood", "expand", "recombine", "contract"],
        "segse_without_recombination": ["neighbourhood", "expand"],
        "cbam": ["channel/reduce", "channel/expand", "spatial/neighbourhood"],
    }["scse" if name.startswith("scse") else name]
    weights = ["kernel", "bias"] if use_bias else ["kernel"]
    assert [weight.path for weight in layer.weights] == [
        f"block/{part}/{weight}" for part in parts for weight in weights
    ]
