"""Frozen parts: what they are, that training leaves them alone, and that saved networks keep them."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from networks import image, tiny

from recalib_keras import layers, models
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy

SCSE = {"recalibration": "scse", "normalization": "batch"}
# Continues the training of a saved network in another process, and saves what comes out.
CONTINUE = """
import sys, recalib_keras, keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
data = np.load(sys.argv[2])
model.fit(data["x"], data["y"], batch_size=2, shuffle=False, verbose=0)
np.savez(sys.argv[3], *model.get_weights(), learns=[w.path for w in model.trainable_weights])
"""


def learning(model):
    return [weight.path for weight in model.trainable_weights]


def labels(seed=0):
    return np.random.default_rng(seed).integers(0, 3, (2, 8, 8))


@pytest.mark.parametrize(
    ("part", "stages"),
    [
        ("encoder", {"decoder_1", "bottleneck", "classifier"}),
        ("decoder", {"encoder_1", "bottleneck", "classifier"}),
        ("bottleneck", {"encoder_1", "decoder_1", "classifier"}),
        ("body", {"classifier"}),
        ("classifier", {"encoder_1", "bottleneck", "decoder_1"}),
        (["encoder", "bottleneck"], {"decoder_1", "classifier"}),
        ("encoder_1", {"decoder_1", "bottleneck", "classifier"}),
        ("*coder_1_*", {"bottleneck", "classifier"}),
    ],
)
def test_the_other_parts_learn(part, stages):
    model = tiny(models.DenseNet, **SCSE)
    names = models.freeze(model, part)
    assert {stage for stage in ("encoder_1", "bottleneck", "decoder_1", "classifier")
            if any(path.startswith(stage) for path in learning(model))} == stages  # fmt: skip
    assert names and not any(path.split("/")[0] in names for path in learning(model))


def test_blocks_and_single_layers():
    model = tiny(models.UNet, **SCSE)
    assert models.freeze(model, "blocks") == ["encoder_1_recalibration", "decoder_1_recalibration"]
    assert models.freeze(model, "decoder_1_conv_2") == ["decoder_1_conv_2"]
    assert not [path for path in learning(model) if "recalibration" in path or "decoder_1_conv_2" in path]


def test_unfreezing():
    model = tiny(models.UNet, **SCSE)
    everything = learning(model)
    models.freeze(model, "all")
    assert learning(model) == []
    models.unfreeze(model, "classifier")
    assert learning(model) == ["classifier/kernel", "classifier/bias"]
    model.trainable = False  # Keras's own way to freeze everything
    models.unfreeze(model, "classifier")
    assert learning(model) == ["classifier/kernel", "classifier/bias"]
    models.unfreeze(model)
    assert learning(model) == everything


def test_a_network_inside_another_model():
    network = tiny(models.UNet)
    outer = keras.Model(network.input, keras.layers.Conv2D(2, 1, name="head")(network(network.input)))
    models.freeze(outer, "encoder")
    assert not [path for path in learning(outer) if path.startswith("encoder")]
    outer.trainable = False
    models.unfreeze(outer, "decoder")
    assert {path.split("_")[0] for path in learning(outer)} == {"decoder"}


@pytest.mark.parametrize(
    ("part", "hint"), [("encodr", "did you mean 'encoder'?"), ("x", "choose one of all, encoder, bottleneck, decoder")]
)
def test_an_unknown_part(part, hint):
    with pytest.raises(ValueError, match="expected a part of the model 'unet', got") as error:
        models.freeze(tiny(models.UNet), part)
    assert hint in str(error.value)


def test_training_leaves_frozen_weights_alone():
    model = tiny(models.UNet, **SCSE)
    models.freeze(model, "encoder")
    before = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    model.compile("adam", DiceCrossEntropy())
    model.fit(image(), labels(), verbose=0)
    after = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    changed = {path for path, weight in after.items() if not np.array_equal(weight, before[path])}
    # The running averages of a frozen batch normalization stay, too.
    assert changed and not [path for path in changed if path.startswith("encoder")]
    assert "bottleneck_norm_1/moving_mean" in changed


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [models.UNet, *(pytest.param(other, marks=pytest.mark.slow) for other in (models.SDNet, models.DenseNet))],
)
def test_a_fresh_process_continues_with_the_same_weights(network, tmp_path):
    """Frozen parts, also inside blocks, and the state of the optimizer are as they were."""
    model = tiny(network, size=8, **SCSE)
    models.freeze(model, "encoder")
    model.get_layer("decoder_1_recalibration").channel.trainable = False
    model.compile(keras.optimizers.Adam(0.01), DiceCrossEntropy())
    data = {"x": image(), "y": labels()}
    model.fit(data["x"], data["y"], verbose=0)
    model.save(tmp_path / "half.keras")
    np.savez(tmp_path / "data.npz", **data)
    model.fit(data["x"], data["y"], batch_size=2, shuffle=False, verbose=0)
    command = [sys.executable, "-W", "error:Skipping", "-c", CONTINUE]
    arguments = [tmp_path / name for name in ("half.keras", "data.npz", "next.npz")]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "next.npz")
    assert found["learns"].tolist() == learning(model)
    for index, weight in enumerate(model.get_weights()):
        np.testing.assert_allclose(found[f"arr_{index}"], weight, atol=1e-5)


def test_networks_that_learn_as_a_whole_have_no_list_of_frozen_layers():
    assert "frozen" not in tiny(models.UNet).get_config()


def test_a_frozen_model_as_a_whole_stays_frozen(tmp_path):
    model = tiny(models.UNet, **SCSE)
    model.trainable = False
    model.save(tmp_path / "frozen.keras")
    assert learning(keras.saving.load_model(tmp_path / "frozen.keras")) == []


def test_frozen_blocks_of_a_users_own_model_stay_frozen(tmp_path):
    x = inputs = keras.Input((8, 8, 4))
    for block in (layers.ChannelSE(2), layers.SpatialSE(), layers.ChannelSpatialSE(2), layers.ProjectExcite(2),
                  layers.SegSE(2, 2), layers.CBAM(2)):  # fmt: skip
        x = block(x)
    model = keras.Model(inputs, x)
    for layer in model.layers:
        layer.trainable = False
    model.save(tmp_path / "blocks.keras")
    assert learning(keras.saving.load_model(tmp_path / "blocks.keras")) == []


def test_a_model_without_a_classifier_has_no_body():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="predictions")], name="other")
    with pytest.raises(
        ValueError, match="expected a part of the model 'other', got 'body'; choose one of all, encoder"
    ):
        models.freeze(model, "body")
