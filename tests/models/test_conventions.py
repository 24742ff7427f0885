"""Blocks as the authors' code computes them, beside those of the papers."""

import keras
import numpy as np
import pytest
from networks import every_network, every_rank, image, outputs_of, randomize, tiny

from recalib_keras import layers, models

AUTHORS = pytest.mark.parametrize("network", [models.DenseNet, models.SDNet])


def authors(network, spatial_rank=2, **arguments):
    return tiny(network, spatial_rank, convention="authors", **arguments)


def names_of(model, stage):
    return [layer.name.removeprefix(f"{stage}_") for layer in model.layers if layer.name.startswith(stage)]


def test_order_of_the_layers():
    block = ["recalibration", "dropout", "pool"]
    dense = authors(models.DenseNet, recalibration="scse", dropout=0.2)
    assert names_of(dense, "encoder_1") == [
        *("norm_1", "prelu", "conv_1", "concat_1", "norm_2", "conv_2", "concat_2", "norm_gather", "conv_gather"),
        *block,
    ]
    single = authors(models.SDNet, recalibration="scse", dropout=0.2)
    assert names_of(single, "encoder_1") == ["conv", "prelu", "norm", *block]
    assert names_of(single, "bottleneck") == ["conv", "prelu", "norm"]


@every_rank
@AUTHORS
def test_one_slope_for_each_block(network, spatial_rank):
    model = authors(network, spatial_rank)
    slopes = {layer.name: layer.alpha for layer in model.layers if isinstance(layer, keras.layers.PReLU)}
    assert slopes.keys() == {"encoder_1_prelu", "bottleneck_prelu", "decoder_1_prelu"}
    assert [float(np.ravel(slope)[0]) for slope in slopes.values() if np.size(slope) == 1] == [0.25] * 3


def test_a_dense_block_by_hand():
    """One voxel and 1×1 kernels: normalization, PReLU and product, three times, each of all that came before."""
    model = randomize(authors(models.DenseNet, size=2, filters=1, kernel_size=1, upsampling="transpose"))
    weights = {v.path: np.asarray(keras.ops.convert_to_numpy(v)).squeeze() for v in model.weights}
    slope = weights["encoder_1_prelu/alpha"]

    def step(x, suffix):
        gamma, beta, mean, variance = (
            weights[f"encoder_1_norm{suffix}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        y = gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
        y = np.where(y > 0, y, slope * y)
        return y @ np.atleast_1d(weights[f"encoder_1_conv{suffix}/kernel"]) + weights[f"encoder_1_conv{suffix}/bias"]

    voxel = np.array([0.7])
    first = step(voxel, "_1")
    second = step(np.array([0.7, first]), "_2")
    expected = step(np.array([0.7, first, second]), "_gather")
    block = keras.Model(model.input, model.get_layer("encoder_1_conv_gather").output)
    found = outputs_of(block, np.full((1, 2, 2, 1), 0.7, "float32"))
    np.testing.assert_allclose(found, np.full((1, 2, 2, 1), expected), rtol=1e-4, atol=1e-6)


@AUTHORS
def test_normalization_is_that_of_pytorch(network):
    for convention, epsilon in (("authors", 1e-5), ("paper", 1e-3)):
        model = tiny(network, convention=convention)
        found = {layer.epsilon for layer in model.layers if isinstance(layer, layers.FoldedBatchNormalization)}
        assert found == {epsilon}


@every_rank
@AUTHORS
def test_saved_and_reloaded(network, spatial_rank, tmp_path):
    model = randomize(authors(network, spatial_rank, recalibration="pe", dropout=0.2))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.architecture.convention == "authors"
    inputs = image(spatial_rank)
    np.testing.assert_array_equal(outputs_of(again, inputs), outputs_of(model, inputs))


@AUTHORS
def test_training(network):
    model = authors(network, recalibration="scse", dropout=0.2)
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", jit_compile=False)
    inputs = image()
    before = model.get_layer("decoder_1_prelu").get_weights()
    losses = model.fit(inputs, np.eye(3)[(inputs[..., 0] > 0).astype(int)], epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert not np.array_equal(before, model.get_layer("decoder_1_prelu").get_weights())


@every_network
def test_networks_that_say_nothing_are_those_of_the_papers(network):
    """Saved networks and presets of earlier versions do not know the argument."""
    model = tiny(network)
    config = model.get_config()
    assert config.pop("convention") == "paper"
    assert [w.path for w in network.from_config(config).weights] == [w.path for w in model.weights]
    assert not any(isinstance(layer, keras.layers.PReLU) for layer in model.layers)


def test_errors():
    with pytest.raises(ValueError, match="expected `convention` of UNet to be 'paper', got 'authors'; SDNet and"):
        authors(models.UNet)
    with pytest.raises(ValueError, match=r"expected `convention` to be one of \('paper', 'authors'\), got 'pytorch'"):
        tiny(models.SDNet, convention="pytorch")
