import numpy as np
import pytest
from blocks import numpy, path_below
from reduction import check_reduction_ratio_errors

from recalib_keras import layers
from recalib_keras.layers.channel_spatial_se import AGGREGATIONS


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("max", [4 * 0.75, -4 * 0.75]),
        ("add", [4 * (0.25 + 0.75), -4 * (0.9 + 0.75)]),
        ("multiply", [16 * 0.25 * 0.75, 16 * 0.9 * 0.75]),
        ("concat", [4 * 0.25, -4 * 0.9, 4 * 0.75, -4 * 0.75]),
    ],
)
def test_hand_computed_value(aggregation, expected):
    """One position (4, -4): gates 0.25 and 0.9 of the channels, 0.75 of the position.

    The maximum is of the products, not of the gates: of -3.6 and -3 it is -3.
    """
    inputs = np.array([[[4.0, -4.0]]])
    layer = layers.ChannelSpatialSE(aggregation=aggregation)
    layer.build(inputs.shape)
    gates = {"channel/expand/bias": [0.25, 0.9], "spatial/squeeze/bias": [0.75]}
    logits = {path: np.log(np.array(gate) / (1 - np.array(gate))) for path, gate in gates.items()}
    layer.set_weights([logits.get(path_below(weight), np.zeros(weight.shape)) for weight in layer.weights])
    np.testing.assert_allclose(numpy(layer(inputs))[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_eight_blocks_add_what_the_paper_counts(aggregation):
    """TMI 2019, Table I: 8 blocks of 64 maps, r = 2, no biases."""
    block = layers.ChannelSpatialSE(reduction_ratio=2, aggregation=aggregation, use_bias=False)
    block.build((None, None, None, 64))
    assert 8 * block.count_params() == 33_280


def test_count_of_weights_and_biases():
    block = layers.ChannelSpatialSE(reduction_ratio=4)
    block.build((None, None, None, None, 64))
    assert block.count_params() == (2 * 64 * 16 + 64 + 16) + (64 + 1)


def test_refuses_unknown_aggregation():
    with pytest.raises(ValueError, match=r"expected `aggregation` to be one of \('max', .*\), got 'mean'"):
        layers.ChannelSpatialSE(aggregation="mean")


@pytest.mark.parametrize("aggregation", ["multiply", "concat"])
def test_refuses_identity_start_where_no_gates_give_the_identity(aggregation):
    with pytest.raises(ValueError, match=f"expected `aggregation` .* with `use_identity_start`, got '{aggregation}'"):
        layers.ChannelSpatialSE(aggregation=aggregation, use_identity_start=True)


def test_refuses_reduction_ratios_out_of_range():
    check_reduction_ratio_errors(layers.ChannelSpatialSE, "ChannelSE", channels=8)
