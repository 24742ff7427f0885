"""Trainings that start from the run of the tiny recipe, which is published as a preset."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file
from training.synthetic import changed

from recalib_keras import zoo
from recalib_keras.training import publish, train
from recalib_keras.training.fine_tuning import carried_classifier, start_from
from recalib_keras.zoo import Label


@pytest.fixture(scope="module")
def pretrained(run, recipe, recipe_path, tmp_path_factory):
    """The folder of the preset."""
    return publish(recipe, recipe_path, run.weight_set, run.folder, tmp_path_factory.mktemp("presets"))


def tuned(recipe, pretrained, labels=None, **tables):
    return dataclasses.replace(changed(recipe, **tables), init=str(pretrained), labels=labels or recipe.labels)


def fresh(recipe):
    return recipe.network.build(recipe.input.shape, len(recipe.labels))


def weights(model):
    return {variable.path: np.array(variable) for variable in model.weights}


OTHER_LABELS = (Label(0, "background"), Label(17, "other shell"), Label(53, "other core"))


def test_takes_all_weights_for_the_same_labels(recipe, pretrained, run):
    model = fresh(recipe)
    start_from(model, tuned(recipe, pretrained))
    stored = load_file(run.folder / "best.safetensors")
    assert all(np.array_equal(value, stored[path]) for path, value in weights(model).items() if path in stored)


@pytest.mark.parametrize("labels", [OTHER_LABELS, OTHER_LABELS[:2]])
def test_other_labels_start_a_new_classifier(labels, recipe, pretrained, run):
    model = fresh(dataclasses.replace(recipe, labels=labels))
    head_before = weights(model)["classifier/kernel"]
    start_from(model, tuned(recipe, pretrained, labels))
    stored, now = load_file(run.folder / "best.safetensors"), weights(model)
    assert np.array_equal(now["classifier/kernel"], head_before)
    assert all(np.array_equal(now[path], stored[path]) for path in now if path in stored and "classifier" not in path)


def test_a_head_of_other_layers_starts_anew_even_for_the_same_labels(recipe, pretrained, run):
    arguments = {**recipe.network.arguments, "head_filters": 6}
    other = tuned(recipe, pretrained, network={"arguments": arguments})
    model = fresh(other)
    before, stored = weights(model), load_file(run.folder / "best.safetensors")
    start_from(model, other)
    for path, value in weights(model).items():
        assert np.array_equal(value, (before if path.startswith("classifier") else stored)[path]), path


SOME_SHARED = (Label(0, "background"), Label(8, "rind"), Label(53, "core"), Label(9, "stone"))


def logits(model, windows):
    """Returns what the network gives its last activation."""
    before = keras.Model(model.inputs[0], model.get_layer("probabilities").input)
    return keras.ops.convert_to_numpy(before(windows))


def presets_of(recipe, model, folder, arguments):
    """Writes a preset with the weights of a model; returns its folder."""
    content = zoo.weights.serialize(model)
    network = dataclasses.replace(recipe.network, arguments=arguments)
    described = zoo.WeightSet(
        title="balls",
        network=network,
        input=recipe.input,
        labels=recipe.labels,
        file="balls.safetensors",
        sha256=zoo.weights.sha256(content),
        parameters=model.count_params(),
        data={"source": "scans", "licence": "CC0"},
        score={"dice": 0.5},
        held_out=(),
    )
    folder.mkdir()
    (folder / "balls.safetensors").write_bytes(content)
    (folder / "preset.json").write_text(zoo.Preset(folder.name, {"balls": described}).to_json())
    return folder


@pytest.mark.parametrize(
    "arguments",
    [{}, {"stem": 2}, {"stem": 2, "head_filters": 6}],
    ids=["voxels", "blocks of voxels", "blocks of voxels and a hidden layer"],
)
def test_shared_structures_keep_their_logits(arguments, recipe, tmp_path):
    arguments = {**recipe.network.arguments, **arguments}
    known = changed(recipe, network={"arguments": arguments})
    keras.utils.set_random_seed(1)
    pretrained = fresh(known)
    pretrained.get_layer("classifier").bias.assign(np.arange(pretrained.get_layer("classifier").bias.shape[0]))
    wanted = tuned(known, presets_of(known, pretrained, tmp_path / "balls", arguments), SOME_SHARED)
    model, other = fresh(wanted), fresh(wanted)
    other.set_weights(model.get_weights())
    start_from(model, wanted)

    windows = np.random.default_rng(0).normal(size=(2, *recipe.input.shape)).astype("float32")
    before, after = logits(pretrained, windows), logits(model, windows)
    # A processor may sum in another order where there are fewer classes: a few roundings of the largest logit.
    np.testing.assert_allclose(after[..., [0, 2]], before[..., [0, 2]], rtol=0, atol=2**-21 * np.abs(before).max())
    for name in ("classifier/kernel", "classifier/bias"):
        start, stored = by_class(weights(model)[name], 4), by_class(weights(pretrained)[name], 3)
        assert np.array_equal(start[[0, 2]], stored[[0, 2]])
    kernels = [weights(network)["classifier/kernel"] for network in (model, other)]
    is_fresh = [(columns[0] == columns[1]).all() for columns in zip(*(by_class(kernel, 4) for kernel in kernels))]
    assert is_fresh == [False, True, False, True]


def by_class(values, num_classes):
    """Returns the columns of a classifier's kernel, or the values of its bias, class by class."""
    return np.moveaxis(values.reshape(*values.shape[:-1], -1, num_classes), -1, 0)


def test_the_same_labels_in_another_order_are_shared(recipe, pretrained, run):
    background, shell, core = recipe.labels
    reordered = dataclasses.replace(recipe, labels=(background, core, shell))
    model = fresh(reordered)
    start_from(model, tuned(reordered, pretrained))
    stored = load_file(run.folder / "best.safetensors")
    for name in ("classifier/kernel", "classifier/bias"):
        assert np.array_equal(weights(model)[name], stored[name][..., [0, 2, 1]])


@pytest.mark.parametrize(
    "arguments",
    [{"head_filters": 6}, {"recalibration": "sse", "positions": ["classifier"]}],
    ids=["a hidden layer", "a block behind the classifier"],
)
def test_a_classifier_of_other_layers_shares_nothing(arguments, recipe, pretrained):
    other = tuned(recipe, pretrained, SOME_SHARED, network={"arguments": {**recipe.network.arguments, **arguments}})
    model = fresh(other)
    before = weights(model)
    assert carried_classifier(model, weights(fresh(recipe)), recipe.labels, SOME_SHARED) == {}
    start_from(model, other)
    for path, value in weights(model).items():
        if path.startswith("classifier"):
            assert np.array_equal(value, before[path]), path


def test_a_block_behind_the_classifier_mixes_its_classes_and_shares_nothing(recipe):
    arguments = {**recipe.network.arguments, "recalibration": "sse", "positions": ["classifier"]}
    known = changed(recipe, network={"arguments": arguments})
    model = fresh(dataclasses.replace(known, labels=SOME_SHARED))
    assert carried_classifier(model, weights(fresh(known)), recipe.labels, SOME_SHARED) == {}


def with_blocks(recipe, pretrained, **block):
    blocks = {"recalibration": "pe", "recalibration_args": {"reduction_ratio": 2, **block}}
    return tuned(recipe, pretrained, network={"arguments": {**recipe.network.arguments, **blocks}})


def test_blocks_put_into_a_trained_network_change_nothing_at_first(recipe, pretrained, run):
    other = with_blocks(recipe, pretrained, use_identity_start=True)
    model, plain = fresh(other), fresh(recipe)
    start_from(model, other)
    start_from(plain, tuned(recipe, pretrained))
    windows = np.random.default_rng(0).normal(size=(2, *recipe.input.shape)).astype("float32")
    assert any("recalibration" in path for path in weights(model))
    np.testing.assert_allclose(*(np.array(network(windows)) for network in (model, plain)), atol=1e-5)


def test_blocks_that_do_not_start_as_the_identity_are_missing(recipe, pretrained):
    other = with_blocks(recipe, pretrained)
    with pytest.raises(zoo.WeightsError, match=r"encoder_1_recalibration/.* is missing"):
        start_from(fresh(other), other)


def test_refuses_another_network(recipe, pretrained):
    other = tuned(recipe, pretrained, network={"arguments": {"levels": 1, "filters": 2, "normalization": "batch"}})
    with pytest.raises(zoo.WeightsError, match="expected weights that fit the network 'unet', got "):
        start_from(fresh(other), other)


def test_refuses_an_unknown_preset(recipe):
    with pytest.raises(ValueError, match="expected the name of a preset, got 'none'"):
        start_from(fresh(recipe), dataclasses.replace(recipe, init="none"))


def test_an_unknown_preset_is_an_error_before_any_scan_is_read(recipe, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    for path in (tmp_path / "data").rglob("*.nii.gz"):
        path.write_bytes(b"none")
    with pytest.raises(ValueError, match="expected the name of a preset, got 'none'"):
        train(dataclasses.replace(recipe, init="none"), tmp_path / "run", tmp_path / "data")


def test_a_frozen_encoder_stays_as_it_was(recipe, pretrained, data, tmp_path, run):
    frozen = tuned(
        recipe, pretrained, OTHER_LABELS, schedule={"epochs": 1}, fine_tuning={"freeze_encoder": True, "body_rate": 0.5}
    )
    train(frozen, tmp_path, data)
    before, after = load_file(run.folder / "best.safetensors"), load_file(tmp_path / "best.safetensors")
    assert before.keys() == after.keys()
    same = {path for path in before if np.array_equal(before[path], after[path])}
    assert {path for path in before if path.startswith("encoder_")} <= same
    assert not any(path.startswith(("decoder_", "bottleneck", "classifier")) and "kernel" in path for path in same)


@pytest.mark.slow
def test_starts_ahead_of_a_training_from_scratch(recipe, pretrained, data, tmp_path, run):
    lines = []
    train(tuned(recipe, pretrained, OTHER_LABELS, schedule={"epochs": 2}), tmp_path, data, on_epoch=lines.append)
    assert lines[1]["dice"] > run.lines[1]["dice"] and lines[1]["loss"] < run.lines[1]["loss"]


@pytest.mark.slow
def test_a_resumed_fine_tuning_continues_with_its_own_weights(recipe, pretrained, data, tmp_path):
    class Stop(Exception):
        pass

    def stop(line):
        raise Stop

    two = tuned(recipe, pretrained, OTHER_LABELS, schedule={"epochs": 2})
    train(two, tmp_path / "whole", data)
    with pytest.raises(Stop):
        train(two, tmp_path / "stopped", data, on_epoch=stop)
    train(two, tmp_path / "stopped", data, resume=True)
    whole, stopped = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped
