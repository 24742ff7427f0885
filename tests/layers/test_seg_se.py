import numpy as np
import pytest
from blocks import numpy
from reduction import check_reduction_ratio_errors

from recalib_keras import layers


def test_hand_computed_value():
    """A kernel of dilation 2 that adds the values two before and two after: 3, 4, 1 and 2; logits are these less 2."""
    inputs = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)
    layer = layers.SegSE(reduction_ratio=1, dilation_rate=2, expansion_factor=None)
    layer.build(inputs.shape)
    layer.set_weights([np.array([1.0, 0.0, 1.0]).reshape(3, 1, 1), np.zeros(1), np.ones((1, 1)), np.array([-2.0])])
    gates = 1 / (1 + np.exp(-np.array([1.0, 2.0, -1.0, 0.0])))
    np.testing.assert_allclose(numpy(layer(inputs))[0, :, 0], inputs[0, :, 0] * gates, rtol=1e-6)


@pytest.mark.parametrize(("spatial_rank", "places"), [(1, 3), (2, 9), (3, 27)])
def test_count_of_weights_and_biases(spatial_rank, places):
    """C = 8 maps, m = 4, r = 10: 32 expanded maps, 3 hidden ones."""
    shape = (None,) * (spatial_rank + 1) + (8,)
    for use_bias, biases in [(False, 0), (True, 32 + 3 + 32 + 8)]:
        block = layers.SegSE(use_bias=use_bias)
        block.build(shape)
        assert block.count_params() == 8 * 32 + places * 32 * 3 + 3 * 32 + 32 * 8 + biases


def test_recalibration_alone_has_no_recombination_weights():
    block = layers.SegSE(reduction_ratio=2, expansion_factor=None, use_bias=False)
    block.build((None, None, None, 8))
    assert block.count_params() == 9 * 8 * 4 + 4 * 8


@pytest.mark.parametrize("expansion_factor", [0, -1])
def test_refuses_expansion_factor_below_one(expansion_factor):
    with pytest.raises(ValueError, match=f"expected `expansion_factor` to be at least 1.*, got {expansion_factor}$"):
        layers.SegSE(expansion_factor=expansion_factor)


def test_refuses_reduction_ratios_out_of_range():
    check_reduction_ratio_errors(layers.SegSE, "SegSE", channels=16, expansion_factor=2)
