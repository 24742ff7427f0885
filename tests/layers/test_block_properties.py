"""What holds for a block whatever its weights: zero logits, the range of the gates, symmetries of space."""

import numpy as np
import pytest
from blocks import BLOCKS, IDENTITY_BLOCKS, every_block, feature_map, numpy

# What is left of an input when every logit is zero and every gate one half.
AT_ZERO_LOGITS = {
    "cse": lambda u: u / 2,
    "sse": lambda u: u / 2,
    "scse_max": lambda u: u / 2,
    "scse_add": lambda u: u,
    "scse_multiply": lambda u: (u / 2) ** 2,
    "scse_concat": lambda u: np.concatenate([u / 2, u / 2], axis=-1),
    "pe": lambda u: u / 2,
    "segse_without_recombination": lambda u: u / 2,
    "cbam": lambda u: u / 4,
}
# Gates made from means and single positions see no neighbours; those made by larger kernels do.
WITHOUT_NEIGHBOURS = [name for name in BLOCKS if not name.startswith(("segse", "cbam"))]
PER_POSITION = [name for name in WITHOUT_NEIGHBOURS if name != "pe"]


@pytest.mark.parametrize("name", AT_ZERO_LOGITS)
def test_zero_logits_halve_the_input(name):
    inputs = feature_map(3)
    layer = BLOCKS[name].layer()
    layer.build(inputs.shape)
    layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
    np.testing.assert_array_equal(numpy(layer(inputs)), AT_ZERO_LOGITS[name](inputs))


@pytest.mark.parametrize("name", ["cse", "sse", "scse_max", "pe", "segse_without_recombination", "cbam"])
@pytest.mark.parametrize("use_identity_start", [False, True], ids=["gate", "identity_start"])
def test_gates_lie_between_zero_and_their_peak(name, use_identity_start):
    """The output divided by the input is the gate; large inputs drive gates to both ends."""
    inputs = 30 * feature_map(2)
    layer = BLOCKS[name].randomized(inputs.shape, use_identity_start=use_identity_start)
    peak = 2 if use_identity_start else 1
    gates = numpy(layer(inputs)) / inputs
    tolerance = 1e-5
    assert gates.min() >= -tolerance
    assert gates.max() <= (peak**2 if name == "cbam" else peak) + tolerance  # cbam has two gates, one on the other
    assert gates.min() < 0.1 * peak
    assert gates.max() > 0.9 * peak


@pytest.mark.parametrize("name", PER_POSITION)
def test_permuting_positions_permutes_outputs(name):
    inputs = feature_map(3)
    layer = BLOCKS[name].randomized(inputs.shape)
    order = np.random.default_rng(5).permutation(np.prod(inputs.shape[1:-1]))

    def permuted(array):
        return array.reshape(len(array), -1, array.shape[-1])[:, order].reshape(array.shape)

    np.testing.assert_allclose(numpy(layer(permuted(inputs))), permuted(numpy(layer(inputs))), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WITHOUT_NEIGHBOURS)
def test_permuting_one_axis_permutes_outputs(name):
    inputs = feature_map(3)
    layer = BLOCKS[name].randomized(inputs.shape)
    outputs = numpy(layer(inputs))
    for axis in (1, 2, 3):
        for order in (np.random.default_rng(axis).permutation(inputs.shape[axis]), slice(None, None, -1)):
            place = (slice(None),) * axis + (order,)
            np.testing.assert_allclose(numpy(layer(inputs[place])), outputs[place], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axes", [(2, 1, 3), (2, 3, 1)], ids=str)  # a swap and a turn make all other orders
@pytest.mark.parametrize("name", WITHOUT_NEIGHBOURS)
def test_transposing_space_transposes_outputs(name, axes):
    inputs = feature_map(3)
    layer = BLOCKS[name].randomized((None, None, None, None, 8))
    expected = numpy(layer(inputs)).transpose(0, *axes, 4)
    np.testing.assert_allclose(numpy(layer(inputs.transpose(0, *axes, 4))), expected, rtol=1e-5, atol=1e-5)


def test_project_excite_is_not_blind_to_positions():
    """Shuffling all positions together changes the projections, as it must not for cSE."""
    inputs = feature_map(3)
    layer = BLOCKS["pe"].randomized(inputs.shape)
    order = np.random.default_rng(5).permutation(np.prod(inputs.shape[1:-1]))
    shuffled = inputs.reshape(2, -1, 8)[:, order].reshape(inputs.shape)
    expected = numpy(layer(inputs)).reshape(2, -1, 8)[:, order].reshape(inputs.shape)
    assert np.abs(numpy(layer(shuffled)) - expected).max() > 1e-2


@every_block
def test_samples_of_a_batch_do_not_mix(block):
    inputs = feature_map(2, batch=3)
    layer = block.randomized(inputs.shape)
    alone = np.concatenate([numpy(layer(sample[None])) for sample in inputs])
    np.testing.assert_allclose(numpy(layer(inputs)), alone, rtol=1e-5, atol=1e-5)


def test_identity_blocks_are_all_but_two():
    assert set(BLOCKS) - set(IDENTITY_BLOCKS) == {"scse_multiply", "scse_concat"}
