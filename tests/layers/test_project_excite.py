import numpy as np
from blocks import numpy
from reduction import check_reduction_ratio_errors

from recalib_keras import layers


def test_hand_computed_value():
    """A map of 2×2 positions: means of rows (1, 3) and of columns (1, 3), so z is 2, 4, 4 and 6; logits δ(z) - 4."""
    inputs = np.array([0.0, 2.0, 2.0, 4.0]).reshape(1, 2, 2, 1)
    layer = layers.ProjectExcite(reduction_ratio=1)
    layer.build(inputs.shape)
    layer.set_weights([np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), np.array([-4.0])])
    expected = np.array([0.0, 2 * 0.5, 2 * 0.5, 4 * 0.88079708]).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-6)


def test_one_axis_is_its_own_projection():
    """With one spatial axis there is nothing to average over: z is the map itself."""
    inputs = np.array([[[-1.0], [2.0]]])
    layer = layers.ProjectExcite(reduction_ratio=1)
    layer.build(inputs.shape)
    layer.set_weights([np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1)])
    np.testing.assert_allclose(numpy(layer(inputs)), [[[-0.5], [2 * 0.88079708]]], rtol=1e-6)


def test_eight_blocks_add_what_the_papers_count():
    """As many as cSE: 8 blocks of 64 maps, r = 2, no biases."""
    block = layers.ProjectExcite(reduction_ratio=2, use_bias=False)
    block.build((None, None, None, None, 64))
    assert 8 * block.count_params() == 32_768


def test_count_of_weights_and_biases():
    block = layers.ProjectExcite(reduction_ratio=3)
    block.build((None, None, None, None, 7))
    assert block.count_params() == 2 * 7 * 2 + 7 + 2


def test_refuses_reduction_ratios_out_of_range():
    check_reduction_ratio_errors(layers.ProjectExcite, "ProjectExcite", channels=8)
