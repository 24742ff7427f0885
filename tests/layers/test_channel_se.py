import numpy as np
import pytest
from blocks import feature_map, numpy
from reduction import check_reduction_ratio_errors

from recalib_keras import layers


def test_hand_computed_value():
    """Means (1, 3); hidden δ(1 + 3 - 2) = 2; logits (2·0.5, 2·-0.5) = (1, -1); gates 0.731 and 0.269."""
    inputs = np.array([[[0.0, 2.0], [2.0, 4.0]]])
    layer = layers.ChannelSE(reduction_ratio=2)
    layer.build(inputs.shape)
    layer.set_weights([np.ones((2, 1)), np.array([-2.0]), np.array([[0.5, -0.5]]), np.zeros(2)])
    expected = [[[0.0, 2 * 0.26894142], [2 * 0.73105858, 4 * 0.26894142]]]
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-6)


def test_hidden_values_below_zero_are_cut():
    """A mean that makes the hidden value negative leaves zero logits: half the input."""
    inputs = feature_map(2, channels=2)
    layer = layers.ChannelSE(reduction_ratio=2)
    layer.build(inputs.shape)
    layer.set_weights([np.zeros((2, 1)), np.array([-5.0]), np.ones((1, 2)), np.zeros(2)])
    np.testing.assert_array_equal(numpy(layer(inputs)), inputs / 2)


def test_eight_blocks_add_what_the_paper_counts():
    """TMI 2019, Table I: 8 blocks of 64 maps, r = 2, no biases."""
    block = layers.ChannelSE(reduction_ratio=2, use_bias=False)
    block.build((None, None, None, 64))
    assert 8 * block.count_params() == 32_768


@pytest.mark.parametrize(("channels", "ratio", "hidden"), [(64, 2, 32), (64, 16, 4), (7, 2, 3), (6, 1.5, 4), (5, 5, 1)])
def test_count_of_weights_and_biases(channels, ratio, hidden):
    for use_bias in (False, True):
        block = layers.ChannelSE(reduction_ratio=ratio, use_bias=use_bias)
        block.build((None, None, None, None, channels))
        assert block.count_params() == 2 * channels * hidden + use_bias * (channels + hidden)


def test_refuses_reduction_ratios_out_of_range():
    check_reduction_ratio_errors(layers.ChannelSE, "ChannelSE", channels=8)
