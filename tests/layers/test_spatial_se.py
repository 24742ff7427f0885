import numpy as np
from blocks import numpy

from recalib_keras import layers


def test_hand_computed_value():
    """Logits 1·2 - 2·0.5 + 1 = 2 and 0·2 - 2·0.5 + 1 = 0: gates 0.881 and 0.5."""
    inputs = np.array([[[1.0, 2.0], [0.0, 2.0]]])
    layer = layers.SpatialSE()
    layer.build(inputs.shape)
    layer.set_weights([np.array([[2.0], [-0.5]]), np.array([1.0])])
    expected = [[[0.88079708, 2 * 0.88079708], [0.0, 1.0]]]
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-6)


def test_eight_blocks_add_what_the_paper_counts():
    """TMI 2019, Table I: 8 blocks of 64 maps, no biases."""
    block = layers.SpatialSE(use_bias=False)
    block.build((None, None, None, 64))
    assert 8 * block.count_params() == 512


def test_bias_adds_one():
    block = layers.SpatialSE()
    block.build((None, None, None, None, 64))
    assert block.count_params() == 65
