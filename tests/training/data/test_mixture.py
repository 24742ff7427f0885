"""Trainings on labelled scans with generated ones among them."""

import dataclasses
import json
import shutil

import keras
import nibabel as nib
import numpy as np
import pytest
from synthesis.heads import AIR, BONE, LEFT, RECIPE_OF_HEADS, RIGHT, SKIN, STEM, TABLE, head
from training.runs import Stop, assert_same_run, stop_after
from training.synthetic import changed, empty_set

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import to_mapping
from recalib_keras.training import Recipe, find_split, publish, train
from recalib_keras.training.data.sources import make_source
from recalib_keras.training.run.fingerprint import difference, fingerprint
from recalib_keras.zoo import Label

RECIPE = f"""{RECIPE_OF_HEADS}[data]
folder = "brains"
source = "phantoms made by the tests"
licence = "CC0"
held_out = ["brain_1"]
[augmentation]
flip = 0.5
noise = 0.1
[synthesis]
skull_stripping = 1.0
texture = 1.0
noise = 5.0
[mixture]
folder = "heads"
share = 0.5
[optimizer]
learning_rate = 0.02
[schedule]
epochs = 2
steps_per_epoch = 6
batch_size = 4
precision = "float32"
"""


@pytest.fixture
def data_root(tmp_path):
    """Three scans of brains without skull, and two label maps of heads with their table."""
    brains, heads = empty_set(tmp_path / "brains"), tmp_path / "heads"
    heads.mkdir()
    rng = np.random.default_rng(0)
    for index, size in enumerate((24, 22, 20, 23, 21)):
        indices = head(size)
        numbers = TABLE.numbers[indices].astype("int16")
        if index > 2:
            nib.save(nib.Nifti1Image(numbers, np.eye(4)), heads / f"head_{index}.nii.gz")
            continue
        numbers[(indices == SKIN) | (indices == BONE)] = 0
        image = 2.0 * numbers + rng.normal(0, 3, numbers.shape) * (numbers > 0)
        nib.save(nib.Nifti1Image(image.astype("float32"), np.eye(4)), brains / f"imagesTr/brain_{index}.nii.gz")
        nib.save(nib.Nifti1Image(numbers, np.eye(4)), brains / f"labelsTr/brain_{index}.nii.gz")
    for folder in (heads, brains / "labelsTr"):
        (folder / "generation.json").write_text(json.dumps(to_mapping(TABLE)))
    return tmp_path


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mixed.toml"
    path.write_text(RECIPE)
    return Recipe.read(path)


def source_of(recipe, data_root):
    return make_source(recipe, find_split(recipe, data_root), data_root)


def batches(recipe, data_root, epoch=0, share=slice(None)):
    """Returns the batches of an epoch, as arrays, and the files of each."""
    examples = source_of(recipe, data_root).examples(epoch, share)
    made = [tuple(keras.ops.convert_to_numpy(part) for part in examples[step]) for step in range(len(examples))]
    return made, [examples.files(step) for step in range(len(examples))]


def test_each_example_is_generated_with_the_share_of_the_recipe(recipe, data_root):
    mixed, files = batches(recipe, data_root)
    real, real_files = batches(changed(recipe, mixture={"share": 0.0}), data_root)
    generated, _ = batches(changed(recipe, mixture={"share": 1.0}), data_root)
    seen = []
    for step, ((images, classes), names) in enumerate(zip(mixed, files)):
        for row, name in enumerate(names):
            seen.append("heads" in name)
            images_of, classes_of = (generated if seen[-1] else real)[step]
            np.testing.assert_array_equal(images[row], images_of[row])
            np.testing.assert_array_equal(classes[row], classes_of[row])
            assert seen[-1] or name == real_files[step][row]
    assert 6 < sum(seen) < 18 and len(seen) == 24
    alone, _ = batches(dataclasses.replace(recipe, mixture=None, synthesis=None), data_root)
    for one, other in zip(real, alone):
        np.testing.assert_array_equal(one[0], other[0])


def test_a_part_of_a_batch_is_that_part_of_the_whole(recipe, data_root):
    whole, _ = batches(recipe, data_root, epoch=1)
    part, _ = batches(recipe, data_root, epoch=1, share=slice(1, 3))
    for (images, classes), (some_images, some_classes) in zip(whole, part):
        np.testing.assert_allclose(images[1:3], some_images, atol=1e-5)
        np.testing.assert_array_equal(classes[1:3], some_classes)


def test_slices_are_mixed_too(recipe, data_root):
    expects = dataclasses.replace(recipe.input, window=(16, 1, 16))
    made, files = batches(dataclasses.replace(recipe, input=expects), data_root)
    assert {images.shape for images, _ in made} == {(4, 16, 16, 1)} and any("heads" in str(names) for names in files)


def test_unmapped_labels_are_unknown_and_labels_outside_the_recipe_background(recipe, data_root):
    labels = (*recipe.labels[:2], Label(5, "ventricle"), Label(41, "right cerebral white matter", mirror=2))
    for path in (data_root / "brains" / "labelsTr").glob("*.nii.gz"):
        stored = nib.load(path)
        numbers = np.asarray(stored.dataobj).copy()
        numbers[numbers == 16] = 5
        nib.save(nib.Nifti1Image(numbers, np.eye(4)), path)
    other = changed(dataclasses.replace(recipe, labels=labels), mixture={"share": 1.0}, augmentation={"flip": 0.0})
    source = source_of(other, data_root)
    assert source.label_sets.sets == ((0, 1, 2, 3), (0, 2))
    (_, classes), *_ = batches(other, data_root)[0]
    assert set(np.unique(classes)) == {1, 3, 5}  # 5: background or ventricle
    merged = changed(other, mixture={"merge": {"16": 5}})
    (_, classes), *_ = batches(merged, data_root)[0]
    assert set(np.unique(classes)) == {0, 1, 2, 3}


def test_a_number_of_two_structures_is_refused_unless_the_recipe_says_what_it_is(recipe, data_root):
    """Labels that are numbered from 1 on meet FreeSurfer's, of which 2 is the left white matter."""
    labels = (recipe.labels[0], Label(1, "shell"), Label(2, "core"))
    other = dataclasses.replace(recipe, labels=labels, augmentation=dataclasses.replace(recipe.augmentation, flip=0.0))
    with pytest.raises(
        RecordError, match=r"label 2 of .*heads to be 'core', as in the recipe, got 'left cerebral white"
    ):
        source_of(other, data_root)
    same = changed(other, data={"merge": {"16": 1, "41": 1}}, mixture={"merge": {"2": 2}})
    assert source_of(same, data_root).known == [True, True, True]
    with pytest.raises(
        RecordError, match=r"mixture: merge: expected numbers of .*heads as keys, 0, 2, 16, 41, got 777"
    ):
        source_of(changed(other, mixture={"merge": {"777": 2}}), data_root)


def test_a_label_that_is_segmented_as_itself_has_no_name_in_the_table(recipe, data_root):
    """Such as the fluid around the brain, whose target is the background."""
    labels = (*recipe.labels, Label(515, "bone"))
    assert source_of(dataclasses.replace(recipe, labels=labels), data_root).known == [True] * 5


def test_what_the_recipe_merges_counts_as_the_same_in_generated_scans(recipe, data_root):
    labels = (recipe.labels[0], Label(2, "white matter"), Label(16, "brain-stem"))
    merged = changed(dataclasses.replace(recipe, labels=labels), data={"merge": {"41": 2}}, augmentation={"flip": 0.0})
    merged = changed(merged, mixture={"merge": {"2": 2}})
    classes = source_of(merged, data_root).generated.random_scan.classes
    assert classes[[AIR, LEFT, RIGHT, STEM, SKIN]].tolist() == [0, 1, 1, 2, 0]


def test_what_no_label_map_shows_is_unknown_though_the_table_has_it(recipe, data_root):
    for path in (data_root / "heads").glob("*.nii.gz"):
        stored = nib.load(path)
        numbers = np.asarray(stored.dataobj).copy()
        numbers[numbers == 16] = 2
        nib.save(nib.Nifti1Image(numbers, np.eye(4)), path)
    assert source_of(recipe, data_root).known == [True, True, False, True]


def test_the_share_of_windows_counts_those_of_labelled_scans(recipe, data_root):
    centred = changed(recipe, schedule={"foreground": 1.0, "sampling": "class"})
    assert sum(one.centred for one in source_of(centred, data_root).class_balance()) == pytest.approx(0.5)


def test_label_maps_of_held_out_scans_are_left_out(recipe, data_root):
    (data_root / "heads" / "head_4.nii.gz").rename(data_root / "heads" / "brain_1.nii.gz")
    assert [scan.name for scan in find_split(recipe, data_root).mixed_in] == ["head_3"]
    own = changed(recipe, mixture={"folder": "brains/labelsTr"})
    assert [scan.name for scan in find_split(own, data_root).mixed_in] == ["brain_0", "brain_2"]
    (data_root / "brains" / "scans.csv").write_text(
        "name,patient,part\nbrain_0,a,train\nbrain_1,b,train\nbrain_2,c,test\n"
    )
    assert [scan.name for scan in find_split(own, data_root).mixed_in] == ["brain_0"]
    copies = data_root / "brains" / "copies"
    copies.mkdir()
    shutil.copy(data_root / "brains" / "labelsTr" / "brain_1.nii.gz", copies)
    with pytest.raises(RecordError, match="mixture: expected label maps of training scans in brains/copies, got only"):
        find_split(changed(recipe, mixture={"folder": "brains/copies"}), data_root)


def test_recipes_that_cannot_be_mixed(recipe, data_root):
    with pytest.raises(RecordError, match=r"expected a table \[synthesis\] with .*\[mixture\]"):
        dataclasses.replace(recipe, synthesis=None)
    with pytest.raises(RecordError, match="or mix real and generated scans"):
        dataclasses.replace(recipe, mixture=None)
    with pytest.raises(
        RecordError, match="to be one of zscore, percentile, none for scans that are generated, got 'ct'"
    ):
        changed(recipe, input={"normalization": "ct"})
    labels = (recipe.labels[0], Label(7, "cerebellum"))
    with pytest.raises(RecordError, match=r"expected label maps with some of the labels 7, got none of them; give"):
        source_of(dataclasses.replace(recipe, labels=labels), data_root)


def test_a_run_knows_the_label_maps_that_it_was_begun_with(recipe, data_root):
    begun = fingerprint(recipe, find_split(recipe, data_root))
    (data_root / "heads" / "head_3.nii.gz").rename(data_root / "heads" / "head_9.nii.gz")
    asked = fingerprint(recipe, find_split(recipe, data_root))
    assert difference(begun, asked) == "its label maps of generated scans included 'head_3', which is missing now"
    del begun["mixed-in label maps"]  # as in runs that were begun before there were any
    assert "did not include 'head_4'" in difference(begun, asked)


def test_a_network_is_trained_and_its_card_tells_the_share(recipe, data_root, tmp_path):
    short = changed(recipe, schedule={"epochs": 1, "steps_per_epoch": 2})
    weight_set = train(short, tmp_path / "run", data_root)
    assert weight_set.score["scans"] == "1 held-out validation scans" and not weight_set.data.get("synthetic")
    preset = publish(short, tmp_path / "mixed.toml", weight_set, tmp_path / "run", tmp_path / "presets")
    assert "50% of the examples generated from label maps" in (preset / "README.md").read_text()


@pytest.mark.slow
def test_a_stopped_run_continues_to_the_same_end(recipe, data_root, tmp_path):
    train(recipe, tmp_path / "whole", data_root)
    with pytest.raises(Stop):
        train(recipe, tmp_path / "run", data_root, on_epoch=stop_after(1))
    train(recipe, tmp_path / "run", data_root, resume=True)
    if keras.backend.backend() == "tensorflow":
        assert_same_run(tmp_path / "whole", tmp_path / "run")
