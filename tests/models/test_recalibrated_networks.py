"""Every network takes every block in every place."""

import functools

import numpy as np
import pytest
from networks import (
    BLOCK_ARGUMENTS,
    NETWORKS,
    every_network,
    every_network_in_a_rank,
    every_rank,
    image,
    outputs_of,
    randomize,
    tiny,
)

from recalib_keras import models

BLOCKS = list(models.RECALIBRATIONS)
STAGES = {
    "encoder": ["encoder_1"],
    "decoder": ["decoder_1"],
    "bottleneck": ["bottleneck"],
    "classifier": ["classifier"],
}


def block_names(model):
    return [layer.name for layer in model.layers if layer.name.endswith("_recalibration")]


def check_places(model, positions, recalibration):
    expected = [f"{stage}_recalibration" for place in models.POSITIONS[positions] for stage in STAGES[place]]
    assert sorted(block_names(model)) == sorted(expected)
    for block in expected:
        assert type(model.get_layer(block)) is models.RECALIBRATIONS[recalibration]


@every_network
@every_rank
@pytest.mark.parametrize("recalibration", BLOCKS)
def test_every_block_fits_every_place(network, spatial_rank, recalibration):
    """Classifiers of four classes have four maps, as many as the blocks need."""
    model = tiny(network, spatial_rank, recalibration=recalibration, positions="P6", num_classes=4)
    assert model.output_shape == (None, *(8,) * spatial_rank, 4)
    check_places(model, "P6", recalibration)


@every_network
@every_rank
def test_blocks_are_where_the_positions_say(network, spatial_rank):
    for name in ["P1"] if spatial_rank == 3 else ["P1", "P2", "P3", "P4", "P5"]:
        model = tiny(network, spatial_rank, recalibration="cse", positions=name, num_classes=4)
        check_places(model, name, "cse")


def test_blocks_stand_at_single_stages():
    """The CHAOS report's U-Net has a block everywhere but after the last decoder."""
    model = tiny(models.UNet, levels=2, recalibration="scse", positions=("encoder", "decoder_2"))
    assert sorted(block_names(model)) == [f"{stage}_recalibration" for stage in ("decoder_2", "encoder_1", "encoder_2")]
    again = models.UNet.from_config(model.get_config())
    assert block_names(again) == block_names(model)


def test_there_must_be_such_a_stage():
    with pytest.raises(
        ValueError, match=r"expected single stages in `positions` up to 'decoder_2', .*, got 'decoder_3'"
    ):
        tiny(models.UNet, levels=2, recalibration="cse", positions=("decoder_3",))


@pytest.mark.parametrize(
    ("network", "spatial_rank", "recalibration"),
    [
        ("unet", 2, "cse"),
        pytest.param("sdnet", 3, "cse", marks=pytest.mark.slow),
        ("densenet", 2, "sse"),
        pytest.param("unet", 3, "sse", marks=pytest.mark.slow),
        ("sdnet", 2, "scse"),
        pytest.param("densenet", 3, "scse", marks=pytest.mark.slow),
        ("unet", 3, "pe"),
        pytest.param("densenet", 2, "pe", marks=pytest.mark.slow),
        ("sdnet", 3, "segse"),
        ("densenet", 3, "cbam"),
    ],
)
def test_outputs_are_probabilities_and_blocks_take_part(network, spatial_rank, recalibration):
    model = tiny(NETWORKS[network], spatial_rank, recalibration=recalibration, positions="P6", num_classes=4)
    randomize(model)
    inputs = image(spatial_rank)
    outputs = outputs_of(model, inputs)
    assert outputs.shape == (2, *(8,) * spatial_rank, 4)
    assert outputs.min() >= 0
    np.testing.assert_allclose(outputs.sum(axis=-1), 1, rtol=1e-5)
    for name in block_names(model):
        block = model.get_layer(name)
        weights = block.get_weights()
        block.set_weights([weight - 1 for weight in weights])
        assert np.abs(outputs_of(model, inputs) - outputs).max() > 1e-5, name
        block.set_weights(weights)


@pytest.mark.parametrize(
    ("recalibration", "added"), [("cse", 8 * 64**2), ("sse", 8 * 64), ("scse", 8 * 64**2 + 8 * 64), ("pe", 8 * 64**2)]
)
@every_network
def test_added_parameters_are_those_of_the_paper(network, recalibration, added):
    """TMI 2019, Table I: four levels of 64 maps, blocks after encoders and decoders, r = 2, no biases."""
    recalibrated = network(
        (16, 16, 1), 28, kernel_size=1, recalibration=recalibration, recalibration_args={"use_bias": False}
    )
    assert recalibrated.count_params() - parameters_of_plain(network) == added


@functools.cache
def parameters_of_plain(network):
    return network((16, 16, 1), 28, kernel_size=1).count_params()


@every_rank
@pytest.mark.parametrize("recalibration", BLOCKS)
def test_added_parameters_are_those_of_the_blocks(spatial_rank, recalibration):
    plain = tiny(models.UNet, spatial_rank)
    recalibrated = tiny(models.UNet, spatial_rank, recalibration=recalibration)
    block = models.RECALIBRATIONS[recalibration](**BLOCK_ARGUMENTS[recalibration])
    block.build((None,) * (spatial_rank + 1) + (4,))
    assert recalibrated.count_params() - plain.count_params() == 2 * block.count_params() > 0


@every_network
def test_skip_carries_the_raw_or_the_recalibrated_map(network):
    """The two differ where gates are not 1, and are the same while they are."""
    inputs = image()
    for use_identity_start, differs in [(False, True), (True, False)]:
        arguments = {
            "recalibration": "segse",
            "recalibration_args": {"reduction_ratio": 2, "use_identity_start": use_identity_start},
            "positions": "encoder",
        }
        recalibrated, raw = (tiny(network, skip=skip, **arguments) for skip in ("recalibrated", "raw"))
        raw.set_weights(recalibrated.get_weights())
        same = np.array_equal(outputs_of(raw, inputs), outputs_of(recalibrated, inputs))
        assert same != differs


@every_network
def test_skip_takes_its_map_from_the_layer_it_names(network):
    for skip, source in [("recalibrated", "encoder_1_recalibration"), ("raw", "encoder_1_relu")]:
        model = tiny(network, recalibration="sse", skip=skip)
        joined = model.get_layer("decoder_1_skip").input[1]
        assert joined._keras_history.operation.name.startswith(source)


@every_network_in_a_rank
def test_identity_start_changes_nothing(network, spatial_rank):
    plain = randomize(tiny(network, spatial_rank))
    arguments = {"reduction_ratio": 2, "kernel_size": 3, "use_identity_start": True}
    recalibrated = tiny(network, spatial_rank, recalibration="cbam", recalibration_args=arguments)
    for layer in plain.layers:
        recalibrated.get_layer(layer.name).set_weights(layer.get_weights())
    inputs = image(spatial_rank)
    np.testing.assert_allclose(outputs_of(recalibrated, inputs), outputs_of(plain, inputs), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("network", "spatial_rank", "upsampling"),
    [
        ("unet", 2, "transpose"),
        ("unet", 3, "unpool"),
        ("sdnet", 3, "transpose"),
        ("sdnet", 2, "unpool"),
        ("densenet", 2, "transpose"),
        ("densenet", 3, "unpool"),
    ],
)
def test_concatenated_blocks_double_the_maps_and_all_still_fits(network, spatial_rank, upsampling):
    model = tiny(
        NETWORKS[network],
        spatial_rank,
        levels=2,
        filters=(4, 2, 6),
        recalibration="scse",
        recalibration_args={"aggregation": "concat"},
        positions=("encoder", "bottleneck", "decoder"),
        upsampling=upsampling,
    )
    widths = {name: model.get_layer(name).output.shape[-1] for name in block_names(model)}
    assert list(widths.values()) == [8, 4, 12, 4, 8]
    assert model.output_shape[-1] == 3


def test_refuses_a_block_that_doubles_the_classes():
    with pytest.raises(
        ValueError,
        match=r"expected the block after the classifier to keep its 3 channels, got 6; leave 'classifier' out",
    ):
        tiny(models.UNet, recalibration="scse", recalibration_args={"aggregation": "concat"}, positions="P6")
