"""A recipe of one structure with a sigmoid, and of several that start from it."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest
from training.synthetic import FOLDER, changed, write_recipe, write_scans

from recalib_keras import zoo
from recalib_keras.inference import Segmenter
from recalib_keras.training import publish, train

SIGMOID = {"levels": 1, "filters": 4, "normalization": "batch", "classifier_activation": "sigmoid"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("binary")
    write_scans(root)
    return root


@pytest.fixture(scope="module")
def recipe(root):
    """The balls with their cores as one structure."""
    recipe = write_recipe(root / "balls.toml")
    recipe = dataclasses.replace(recipe, labels=recipe.labels[:2])
    return changed(recipe, data={"merge": {"53": 17}}, network={"arguments": SIGMOID}, schedule={"epochs": 5})


@pytest.fixture(scope="module")
def preset(root, recipe):
    return publish(recipe, root / "balls.toml", train(recipe, root / "run", root), root / "run", root / "presets")


def test_one_structure_is_learnt_and_segmented(preset, root):
    assert zoo.weight_set(preset).score["dice_by_structure"]["shell"] > 0.85
    model = zoo.load(preset)
    assert model.output_shape[-1] == 1 and model.architecture.classifier_activation == "sigmoid"
    found = Segmenter(preset, engine="keras", precision="float32")(root / FOLDER / "imagesTr" / "ball_0.nii.gz")
    truth = nib.load(root / FOLDER / "labelsTr" / "ball_0.nii.gz").get_fdata()
    assert set(np.unique(found.labels)) == {0, 17}
    assert ((found.labels > 0) == (truth > 0)).mean() > 0.95


@pytest.mark.slow
def test_several_structures_start_from_one(preset, root, recipe):
    """The structure that both have keeps its classifier; the other one starts anew."""
    whole = write_recipe(root / "whole.toml")
    several = dataclasses.replace(
        changed(whole, network={"arguments": SIGMOID}, schedule={"epochs": 1}, optimizer={"learning_rate": 1e-12}),
        init=str(preset),
    )
    train(several, root / "several", root)
    ours = zoo.weights.read(root / "several" / "best.safetensors")["classifier/kernel"]
    theirs = zoo.weight_set(preset).read_weights()["classifier/kernel"]
    assert ours.shape == (1, 1, 1, 4, 2)
    np.testing.assert_allclose(ours[..., 0], theirs[..., 0], atol=1e-6)


@pytest.mark.slow
def test_a_softmax_starts_a_new_classifier(preset, root, recipe):
    softmax = dataclasses.replace(
        changed(recipe, network={"arguments": {**SIGMOID, "classifier_activation": "softmax"}}, schedule={"epochs": 1}),
        init=str(preset),
    )
    assert train(softmax, root / "softmax", root).score["dice"] > 0.3
