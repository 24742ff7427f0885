"""Deep supervision: the loss at lower decoders, whose classifiers are not part of the preset."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file
from training.runs import Stop, assert_same_run, stop_after
from training.synthetic import changed

from recalib_keras import models
from recalib_keras.training import train
from recalib_keras.training.losses.deep_supervision import SupervisedModel, lower_levels, of_resolution
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy


def network(levels, kind=models.UNet, **arguments):
    return kind((16, 16, 16, 1), num_classes=3, levels=levels, filters=4, **arguments)


@pytest.mark.parametrize(("levels", "lower"), [(1, []), (2, [2]), (3, [2]), (4, [2, 3]), (5, [2, 3, 4])])
def test_the_lowest_decoder_of_deep_networks_learns_from_the_others(levels, lower):
    assert list(lower_levels(SimpleNamespace(architecture=SimpleNamespace(levels=levels)))) == lower


@pytest.mark.parametrize("kind", [models.UNet, models.SDNet, models.DenseNet])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        pytest.param({"recalibration": "scse"}, marks=pytest.mark.slow),
        pytest.param({"patch_size": 2, "dropout": 0.1}, marks=pytest.mark.slow),
    ],
)
def test_outputs_have_the_resolutions_of_their_decoders(kind, arguments):
    patch = arguments.get("patch_size", 1)
    supervised = SupervisedModel(network(2, kind, **arguments), DiceCrossEntropy())
    outputs = supervised(np.zeros((1, 16, 16, 16, 1), "float32"))
    assert [tuple(output.shape) for output in outputs] == [(1, 16, 16, 16, 3), (1, *(8 // patch,) * 3, 3)]


def test_classes_are_those_of_every_second_voxel():
    classes = np.arange(64).reshape(1, 4, 4, 4, 1)
    assert of_resolution(classes, np.zeros((1, 4, 4, 4, 3))) is classes
    assert np.array_equal(of_resolution(classes, np.zeros((1, 2, 2, 1, 3))), classes[:, ::2, ::2, ::4])


def test_the_loss_is_a_weighted_mean():
    supervised = SupervisedModel(network(4), DiceCrossEntropy())
    rng = np.random.default_rng(0)
    images, classes = rng.normal(size=(2, 16, 16, 16, 1)).astype("float32"), rng.integers(3, size=(2, 16, 16, 16, 1))
    outputs = supervised(images)
    pairs = [(classes[:, ::step, ::step, ::step], output) for step, output in zip((1, 2, 4), outputs)]
    losses = [keras.ops.convert_to_numpy(DiceCrossEntropy()(*pair)) for pair in pairs]
    found = keras.ops.convert_to_numpy(supervised.compute_loss(images, classes, outputs))
    assert found == pytest.approx((losses[0] + losses[1] / 2 + losses[2] / 4) / 1.75, rel=1e-5)


@pytest.mark.slow
def test_the_network_keeps_its_weights_and_learns():
    base = network(2)
    supervised = SupervisedModel(base, DiceCrossEntropy())
    supervised.compile(keras.optimizers.Adam(0.01))
    before = [np.array(variable) for variable in base.trainable_variables]
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 16, 16, 16, 1)).astype("float32")
    supervised.fit(images, (images > 0).astype("int32"), verbose=0)
    assert all(not np.array_equal(a, np.array(b)) for a, b in zip(before, base.trainable_variables) if a.size > 4)
    heads = {variable.path for variable in supervised.variables} - {variable.path for variable in base.variables}
    assert {path.split("/")[0] for path in heads} == {"supervision_2"}


@pytest.mark.slow
def test_a_run_keeps_the_network_alone_and_resumes_with_its_heads(recipe, data, tmp_path):
    deep = changed(
        recipe,
        network={"arguments": {"levels": 2, "filters": 4, "normalization": "batch"}},
        loss={"deep_supervision": True},
        schedule={"epochs": 2, "average": 0.5},
    )
    described = train(deep, tmp_path / "once", data)
    best, checkpoint = (load_file(tmp_path / "once" / f"{name}.safetensors") for name in ("best", "checkpoint"))
    assert not any("supervision" in name for name in best) and any(
        "supervision_2/kernel" in name for name in checkpoint
    )
    assert described.parameters == described.build().count_params()
    with pytest.raises(Stop):
        train(deep, tmp_path / "stopped", data, on_epoch=stop_after(1))
    train(deep, tmp_path / "stopped", data, resume=True)
    assert_same_run(tmp_path / "stopped", tmp_path / "once")
