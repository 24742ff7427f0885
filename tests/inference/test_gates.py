import keras
import numpy as np
import pytest
from keras import ops

from recalib_keras import layers, models, zoo
from recalib_keras.inference.gates import block_gates, gate_maps, shown_blocks
from recalib_keras.volumes import Grid, Volume

SHAPE = (2, 6, 5, 4, 8)


def feature_map(shape=SHAPE, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def network(recalibration="pe", shape=(8, 8, 8, 1), **kwargs):
    keras.utils.set_random_seed(0)
    return models.UNet(shape, 3, levels=2, filters=4, recalibration=recalibration, **kwargs)


@pytest.mark.parametrize(("shape", "recalibration"), [((8, 8, 8, 1), "pe"), ((16, 8, 1), "pe"), ((8, 8, 8, 1), "cse")])
def test_gates_of_a_network_are_those_of_its_forward_pass(shape, recalibration):
    model = network(recalibration, shape)
    inputs = feature_map((1, *shape))
    found = block_gates(model, inputs, ["encoder_2_recalibration", "decoder_1_recalibration"])
    assert list(found) == ["encoder_2_recalibration", "decoder_1_recalibration"]
    for name, (gate,) in found.items():
        layer = model.get_layer(name)
        before, after = keras.Model(model.input, [layer.input, layer.output])(inputs)
        np.testing.assert_allclose(
            ops.convert_to_numpy(before) * gate, ops.convert_to_numpy(after), rtol=1e-4, atol=1e-6
        )


def test_channels_come_last_whatever_the_data_format():
    inputs = keras.Input((4, 6, 5))
    model = keras.Model(inputs, layers.SpatialSE(data_format="channels_first", name="block")(inputs))
    assert block_gates(model, feature_map((1, 4, 6, 5)), ["block"])["block"][0].shape == (1, 6, 5, 1)
    with pytest.raises(ValueError, match="No such layer: blok"):
        block_gates(model, feature_map((1, 4, 6, 5)), ["blok"])


def test_layers_without_gates_are_refused():
    message = "expected 'encoder_1_relu_1' to be a recalibration block, .*Recalibration`, got a ReLU"
    with pytest.raises(TypeError, match=message):
        block_gates(network(), feature_map((1, 8, 8, 8, 1)), ["encoder_1_relu_1"])


def test_first_encoder_and_last_decoder_are_shown_or_what_there_is():
    assert shown_blocks(network()) == ["encoder_1_recalibration", "decoder_1_recalibration"]
    assert shown_blocks(network(positions="P1")) == ["encoder_1_recalibration"]
    assert shown_blocks(network(positions="P3")) == ["bottleneck_recalibration"]
    with pytest.raises(ValueError, match="expected a network with recalibration blocks, got 'unet' without any"):
        shown_blocks(network(None))


def scan(shape, spacing=(1.0, 1.0, 1.0)):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-10, 20, 5)
    return Volume(feature_map(shape), Grid(shape, affine))


def test_maps_stand_where_the_scan_does():
    model, one = network(), scan((12, 10, 9))
    labels = np.zeros(one.array.shape, np.uint8)
    labels[9:11, 7, 6] = 1
    found = gate_maps(model, zoo.Input((8, 8, 8)), one, labels)
    # The window of 8 around (9, 7, 6), as far as the scan reaches.
    assert found.image.grid.shape == (8, 8, 8)
    np.testing.assert_allclose(found.image.grid.affine[:3, 3], [-10 + 4, 20 + 2, 5 + 1])
    np.testing.assert_array_equal(found.labels.array, labels[4:, 2:, 1:])
    whole = (one.array - one.array.mean()) / one.array.std()
    np.testing.assert_allclose(found.image.array, whole[4:, 2:, 1:], atol=0.02)
    encoder, decoder = found.blocks
    assert (encoder.layer, decoder.layer) == ("encoder_1_recalibration", "decoder_1_recalibration")
    assert encoder.block == "ProjectExcite" and encoder.channels is None
    expected = block_gates(model, found.image.array[None, ..., None], [encoder.layer])[encoder.layer][0]
    np.testing.assert_allclose(encoder.spatial.array, expected[0].mean(axis=-1), rtol=1e-5)
    assert encoder.spatial.grid.matches(found.image.grid)


def test_the_centre_of_the_scan_is_looked_at_without_labels():
    found = gate_maps(network(), zoo.Input((8, 8, 8)), scan((12, 10, 9)))
    assert found.labels is None
    np.testing.assert_allclose(found.image.grid.affine[:3, 3], [-10 + 2, 20 + 1, 5])


def test_a_scan_smaller_than_the_window_is_padded_for_the_network_alone():
    one = scan((5, 8, 6))
    found = gate_maps(network(), zoo.Input((8, 8, 8)), one)
    assert found.image.grid.matches(one.grid)
    padded = np.pad(found.image.array, [(1, 2), (0, 0), (1, 1)], mode="edge")[None, ..., None]
    expected = block_gates(network(), padded, ["encoder_1_recalibration"])["encoder_1_recalibration"][0]
    np.testing.assert_allclose(found.blocks[0].spatial.array, expected[0, 1:6, :, 1:7].mean(axis=-1), rtol=1e-5)


def test_blocks_below_full_resolution_are_shown_on_the_grid_of_the_image():
    found = gate_maps(network(), zoo.Input((8, 8, 8)), scan((8, 8, 8)), names=["encoder_2_recalibration"])
    (block,) = found.blocks
    raw = block_gates(network(), found.image.array[None, ..., None], [block.layer])[block.layer][0][0].mean(axis=-1)
    assert raw.shape == (4, 4, 4)
    assert block.spatial.grid.matches(found.image.grid)
    np.testing.assert_allclose(block.spatial.array, raw.repeat(2, 0).repeat(2, 1).repeat(2, 2), rtol=1e-5)


def test_orientation_and_spacing_are_those_that_the_network_expects():
    expects = zoo.Input((8, 8, 8), orientation="SPL", spacing=(2.0, 1.0, 1.0))
    found = gate_maps(network(), expects, scan((12, 10, 16)))
    assert found.image.grid.orientation == "SPL"
    assert found.image.grid.spacing == pytest.approx((2.0, 1.0, 1.0))


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("axis", range(3))
def test_a_2d_network_sees_the_slice_through_the_structures(axis, context):
    window = tuple(np.insert([8, 16], axis, 1))
    one = scan((18, 17, 16))
    labels = np.zeros(one.array.shape, np.uint8)
    labels[5, 6, 7] = 1
    expects = zoo.Input(window, context=context)
    found = gate_maps(network("scse", expects.shape), expects, one, labels)
    assert found.image.grid.shape == window
    np.testing.assert_allclose(found.image.grid.affine[axis, 3], one.grid.affine[axis, 3] + (5, 6, 7)[axis])
    for block in found.blocks:
        assert block.spatial.grid.matches(found.image.grid)
        assert block.channels.shape == (4,)


def test_cse_has_gates_of_channels_alone():
    for block in gate_maps(network("cse"), zoo.Input((8, 8, 8)), scan((8, 8, 8))).blocks:
        assert block.spatial is None and block.channels.shape == (4,)
