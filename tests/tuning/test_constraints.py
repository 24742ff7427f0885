import itertools

import keras
import pytest
from training.synthetic import RECIPE

from recalib_keras import layers
from recalib_keras.tuning.space import constraints as possible
from recalib_keras.zoo.preset import Network

CHANNELS = {"encoder": 2, "decoder": 2, "bottleneck": 8, "classifier": 3}


def recipe(window=(1, 8, 8), labels=3, **arguments):
    return {
        "network": {"architecture": "UNet", "arguments": arguments},
        "input": {"window": list(window)},
        "labels": [{"id": number} for number in range(labels)],
    }


def builds(mapping):
    """Returns whether the network can really be built."""
    network = Network("UNet", {key: value for key, value in mapping["network"]["arguments"].items() if value != "none"})
    shape = (*(size for size in mapping["input"]["window"] if size != 1), 1)
    try:
        network.build(shape, len(mapping["labels"]))
    except ValueError:
        return False
    finally:
        keras.backend.clear_session()
    return True


@pytest.mark.parametrize(
    ("block", "ratio", "positions"),
    [
        *(("cse", ratio, "P3") for ratio in (2, 4)),
        *(pytest.param("cse", *one, marks=pytest.mark.slow) for one in itertools.product([2, 4], ["P1", "P4"])),
        *(pytest.param("scse", *one, marks=pytest.mark.slow) for one in itertools.product([2, 4], ["P1", "P3", "P4"])),
        ("sse", 8, "P1"),
        ("pe", 3, "P6"),
        ("pe", 2, "P6"),
        ("none", 8, "P1"),
    ],
)
def test_a_ratio_is_possible_where_the_network_can_be_built(block, ratio, positions):
    arguments = {"recalibration": block, "positions": positions, "filters": [2, 8], "levels": 1}
    if block not in ("sse", "none"):
        arguments["recalibration_args"] = {"reduction_ratio": ratio}
    assert (possible.problem(recipe(**arguments)) is None) == builds(recipe(**arguments))


@pytest.mark.parametrize(
    ("aggregation", "positions", "use_identity_start"),
    [
        *[("max", "P4", True), ("concat", "P4", False), ("concat", "P5", False)],
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in itertools.product(["max", "concat", "multiply"], ["P4", "P5"], [True, False])
        ),
    ],
)
def test_an_aggregation_is_possible_where_the_network_can_be_built(aggregation, positions, use_identity_start):
    args = {"aggregation": aggregation, "use_identity_start": use_identity_start}
    mapping = recipe(recalibration="scse", recalibration_args=args, positions=positions, filters=4, levels=1)
    assert (possible.problem(mapping) is None) == builds(mapping)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"levels": 4, "filters": 2},
            "expected every spatial size to be a multiple of 16 (2 to the number of levels, 4), got (8, 8); the "
            "nearest that fit: (16, 16)",
        ),
        (
            {"levels": 3, "filters": 2, "patch_size": 2},
            "expected every spatial size to be a multiple of 16 (2 to the number of levels, 3, times `patch_size`, 2), "
            "got (8, 8); the nearest that fit: (16, 16)",
        ),
        (
            {"levels": 2, "filters": [2, 4]},
            "expected `filters` to be one integer or 3, one for each of 2 levels and one for the bottleneck, got "
            "(2, 4)",
        ),
        ({"levels": 2, "filters": [2, 4, 4]}, None),
        ({"levels": 2, "filters": 2, "pool_sizes": [[2, 1], 2]}, None),
        (
            {"levels": 2, "filters": 2, "pool_sizes": [[2, 1]]},
            "expected `pool_sizes` to have, for each of 2 levels, 1 or 2 for each of 2 axes and 2 for one of them, "
            "such as [(2, 1), (2, 2)], got ((2, 1),)",
        ),
    ],
)
def test_levels_are_possible_where_the_network_can_be_built(arguments, message):
    mapping = recipe(**arguments)
    assert possible.problem(mapping) == message
    assert builds(mapping) == (message is None)


@pytest.mark.parametrize("position", CHANNELS)
def test_channels_at_each_position(position):
    mapping = recipe(filters=[2, 8], levels=1, recalibration="cse", positions=[position])
    assert possible.channels(mapping) == CHANNELS[position]
    mapping["network"]["arguments"]["recalibration_args"] = {"reduction_ratio": CHANNELS[position] + 1}
    assert possible.ratio_problem(mapping) == (
        f"expected `reduction_ratio` of `ChannelSE` to lie between 1 and the number of channels, {CHANNELS[position]}, "
        f"got {CHANNELS[position] + 1}; at least one hidden channel must be left"
    )


@pytest.mark.parametrize(
    ("positions", "smallest"),
    [
        (["encoder_1"], 2),
        pytest.param(["encoder_2"], 4, marks=pytest.mark.slow),
        pytest.param(["decoder_2", "bottleneck"], 4, marks=pytest.mark.slow),
        pytest.param(["encoder", "decoder_2"], 2, marks=pytest.mark.slow),
        (["decoder_3"], None),
    ],
)
def test_single_blocks_are_known_by_their_level(positions, smallest):
    mapping = recipe(filters=[2, 4, 8], levels=2, recalibration="cse", positions=positions)
    for ratio in (2, 4):
        mapping["network"]["arguments"]["recalibration_args"] = {"reduction_ratio": ratio}
        assert (possible.problem(mapping) is None) == (smallest is not None and ratio <= smallest) == builds(mapping)
    if smallest is None:
        assert possible.problem(mapping) == (
            "expected single stages in `positions` up to 'decoder_2', since there are 2 levels, got 'decoder_3'"
        )


def test_channels_are_the_networks_own_where_the_recipe_does_not_say():
    assert possible.channels(recipe(recalibration="cse")) == 64
    assert possible.channels(recipe(window=(8, 8, 8), recalibration="cse")) == 32


def test_a_ratio_that_the_recipe_does_not_say_is_the_blocks_own():
    assert possible.block_argument(recipe(recalibration="cse"), "reduction_ratio") == 2
    assert possible.block_argument(recipe(recalibration="cbam"), "reduction_ratio") == 16
    assert possible.block_argument(recipe(recalibration="sse"), "reduction_ratio") is None
    assert "the number of channels, 4, got 16" in possible.problem(recipe(recalibration="cbam", filters=4, levels=1))


def test_which_block_takes_what():
    assert possible.takes(layers.ChannelSpatialSE, "aggregation")
    assert not possible.takes(layers.ChannelSE, "aggregation")
    assert possible.takes(layers.ProjectExcite, "use_identity_start")  # an argument of the base class
    assert not possible.takes(layers.ProjectExcite, "dtype_policy_of_nobody")
    assert not possible.takes(None, "reduction_ratio")


def test_unknown_blocks_and_positions_are_named():
    with pytest.raises(
        ValueError,
        match=r"expected `recalibration` to be None, .* one of cse, .*, got 'scce'; .* 'none' is a network without",
    ):
        possible.block(recipe(recalibration="scce"))
    for place in ("P7", "encoder_0", "bottleneck_1", "encoder_"):
        with pytest.raises(
            ValueError, match=f"expected `positions` to be one of P1, .* single stages .*, got '{place}'"
        ):
            possible.positions(recipe(positions=["encoder", place]))
    with pytest.raises(ValueError, match="expected `levels` to be an integer, got 'many'"):
        possible.problem(recipe(levels="many"))


def test_positions_are_spelled_out():
    assert possible.positions(recipe()) == ("encoder", "decoder")
    assert possible.positions(recipe(positions="bottleneck")) == ("bottleneck",)
    assert possible.positions(recipe(positions=["encoder", "classifier"])) == ("encoder", "classifier")
    assert possible.positions(recipe(positions=["encoder_1", "decoder_12"])) == ("encoder_1", "decoder_12")
    assert possible.has_encoder_block(recipe(positions=["encoder_2"]))
    assert not possible.has_encoder_block(recipe(positions=["decoder_1", "bottleneck"]))


def test_the_tiny_recipe_is_possible():
    import tomllib

    assert possible.problem(tomllib.loads(RECIPE)) is None
