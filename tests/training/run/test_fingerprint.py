import dataclasses
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from training.runs import fingerprint_of
from training.synthetic import FOLDER, changed

from recalib_keras.layers import ChannelSE
from recalib_keras.training import find_split
from recalib_keras.training.run.fingerprint import difference, fingerprint, lengthened
from recalib_keras.zoo import Label


@pytest.fixture
def data_copy(data, tmp_path):
    """A copy of the data root with the tiny set."""
    shutil.copytree(data / FOLDER, tmp_path / FOLDER)
    return tmp_path


def test_a_fingerprint_holds_recipe_and_scans_as_json(recipe, data):
    found = fingerprint_of(recipe, data)
    assert json.loads(json.dumps(found)) == found
    assert found["recipe"]["optimizer"]["learning_rate"] == 0.06
    assert found["held-out scans"] == ["ball_0", "ball_3"]
    assert found["training scans"] == ["ball_1", "ball_2", "ball_4", "ball_5"]
    assert difference(found, fingerprint_of(recipe, data)) is None


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"schedule": {"epochs": 9}}, "its recipe has schedule.epochs = 5, this one schedule.epochs = 9"),
        ({"loss": {"dice": 0.5}}, "its recipe has loss.dice = 1.0, this one loss.dice = 0.5"),
        ({"augmentation": {"rotation": 9.0}}, "its recipe has augmentation.rotation = 10.0, this one .* = 9.0"),
        ({"data": {"training_scans": 2}}, "its recipe has no data.training_scans, this one data.training_scans = 2"),
        ({"network": {"arguments": {"levels": 1}}}, "its recipe has network.arguments.filters = 4, this one no"),
        ({"network": {"arguments": {"recalibration": ChannelSE}}}, "its recipe has network.arguments.levels = 1"),
    ],
)
def test_the_first_difference_of_recipes_is_named(tables, expected, recipe, data):
    other = changed(recipe, **tables)
    assert re.match(expected, difference(fingerprint_of(recipe, data), fingerprint_of(other, data)))


def test_a_seed_and_a_label_are_differences(recipe, data):
    for other, expected in (
        (dataclasses.replace(recipe, seed=4), "seed = 3, this one seed = 4"),
        (dataclasses.replace(recipe, labels=(*recipe.labels[:2], Label(54, "core"))), "labels.2.id = 53, this one"),
    ):
        assert expected in difference(fingerprint_of(recipe, data), fingerprint_of(other, data))


def test_what_only_describes_the_weights_may_change(recipe, data):
    labels = tuple(dataclasses.replace(label, color=(1, 2, 3)) for label in recipe.labels)
    other = changed(recipe, data={"source": "scans", "licence": "CC BY"})
    other = dataclasses.replace(other, title="a ball", preset="ball3d", weights="b", default=True, labels=labels)
    assert difference(fingerprint_of(recipe, data), fingerprint_of(other, data)) is None


@pytest.mark.parametrize(
    ("decay", "longer"), [("constant", {"epochs": 9}), ("step", {"epochs": 9}), ("cosine", {"patience": 4})]
)
def test_a_run_may_train_longer_if_its_learning_rate_does_not_depend_on_it(decay, longer, recipe, data):
    short, long = (changed(recipe, optimizer={"decay": decay}, schedule=schedule) for schedule in ({}, longer))
    assert difference(fingerprint_of(short, data), fingerprint_of(long, data)) is None


def test_more_epochs_than_a_run_began_with_are_reported(recipe, data):
    five, nine = (fingerprint_of(changed(recipe, schedule={"epochs": epochs}), data) for epochs in (5, 9))
    assert "began with 5 epochs and continues to 9" in lengthened(five, nine)
    assert lengthened(nine, five) is lengthened(five, five) is None
    seed = fingerprint_of(dataclasses.replace(changed(recipe, schedule={"epochs": 9}), seed=4), data)
    assert lengthened(five, seed) is None


def test_keys_newer_than_the_run_have_their_defaults(recipe, data):
    older = fingerprint_of(recipe, data)
    del older["recipe"]["loss"]
    assert difference(older, fingerprint_of(recipe, data)) is None
    older["recipe"]["losses"] = {}
    assert "its recipe does not fit this version: recipe: expected known keys" in difference(
        older, fingerprint_of(recipe, data)
    )


def add_scan(data_root, name):
    for part in ("imagesTr", "labelsTr"):
        shutil.copy(data_root / FOLDER / part / "ball_5.nii.gz", data_root / FOLDER / part / f"{name}.nii.gz")


def test_a_scan_that_changes_the_split_is_a_difference(recipe, data_copy):
    before = fingerprint_of(recipe, data_copy)
    add_scan(data_copy, "another")  # the first by name: every third is now another one
    after = fingerprint_of(recipe, data_copy)
    assert after["held-out scans"] == ["another", "ball_2", "ball_5"]
    assert difference(before, after) == "its training scans included 'ball_2', which is missing now"


def test_another_training_scan_is_a_difference(recipe, data_copy):
    named = changed(recipe, data={"held_out": ("ball_0", "ball_3")})
    before = fingerprint_of(named, data_copy)
    add_scan(data_copy, "z")
    assert difference(before, fingerprint_of(named, data_copy)) == "its training scans did not include 'z'"
    assert (
        difference(fingerprint_of(named, data_copy), before) == "its training scans included 'z', which is missing now"
    )


def test_other_labels_that_were_looked_for_are_a_difference(recipe, data):
    split = find_split(recipe, data)
    partial = dataclasses.replace(
        split, training=[dataclasses.replace(scan, annotated=(53,)) for scan in split.training]
    )
    whole, changed_list = fingerprint(recipe, split), fingerprint(recipe, partial)
    assert difference(whole, changed_list) == "of 'ball_1' the labels looked for were all, and are 53 now"
    old = {key: value for key, value in whole.items() if key != "annotated"}  # runs begun before this was kept
    assert difference(old, whole) is None and difference(whole, old) is None


def test_another_content_of_a_scan_is_a_difference(recipe, data_copy):
    begun = fingerprint_of(recipe, data_copy)
    path = data_copy / FOLDER / "labelsTr" / "ball_4.nii.gz"
    stored = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(stored.dataobj)[::-1].copy(), stored.affine), path)
    asked = fingerprint_of(recipe, data_copy)
    assert difference(begun, asked) == "the scan 'ball_4' has another content now"
    del begun["contents"]  # runs begun before this was kept
    assert difference(begun, asked) is None
    split = find_split(recipe, data_copy)
    path.unlink()  # what cannot be read is reported when it is read
    assert "scan 'ball_4'" not in fingerprint(recipe, split)["contents"]
