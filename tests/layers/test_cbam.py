import numpy as np
from blocks import numpy
from reduction import check_reduction_ratio_errors

from recalib_keras import layers


def test_hand_computed_value():
    """Mean 1 and maximum 3 give the channel logit δ(1) + δ(3) - 2·2 = 0: half of the input, (-0.5, 1.5) goes on.

    In its one channel mean and maximum are the same; K of size 1 adds them: logits -1 and 3.
    """
    inputs = np.array([[[-1.0], [3.0]]])
    layer = layers.CBAM(reduction_ratio=1, kernel_size=1)
    layer.build(inputs.shape)
    layer.set_weights(
        [np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), np.array([-2.0]), np.ones((1, 2, 1)), np.zeros(1)]
    )
    expected = [[[-0.5 * 0.26894142], [1.5 * 0.95257413]]]
    np.testing.assert_allclose(numpy(layer(inputs)), expected, rtol=1e-6)


def test_count_of_weights_and_biases():
    """C = 32 maps, r = 16: 2 hidden ones; K sees 7×7 places of 2 maps."""
    for use_bias, biases in [(False, 0), (True, 2 + 32 + 1)]:
        block = layers.CBAM(use_bias=use_bias)
        block.build((None, None, None, 32))
        assert block.count_params() == 2 * 32 * 2 + 7 * 7 * 2 + biases


def test_refuses_reduction_ratios_out_of_range():
    check_reduction_ratio_errors(layers.CBAM, "CBAM", channels=8)
