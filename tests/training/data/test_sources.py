"""Sources of examples and validation scans, above all in trainings on scans generated from label maps."""

import dataclasses
import json
import shutil

import keras
import nibabel as nib
import numpy as np
import pytest
from synthesis.heads import RECIPE_OF_HEADS, SKIN, TABLE, head
from training.runs import Stop, assert_same_run, stop_after
from training.synthetic import FOLDER, changed
from training.synthetic import RECIPE as BALLS

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import to_mapping
from recalib_keras.datasets import DatasetError
from recalib_keras.synthesis import GeneratedScan, Synthesis
from recalib_keras.training import Recipe, find_split, held_out, publish, rescore, train
from recalib_keras.training.data.sources import make_source, settings_of
from recalib_keras.zoo import Input, Label

RECIPE = f"""{RECIPE_OF_HEADS}[data]
folder = "heads"
source = "phantoms made by the tests"
licence = "CC0"
held_out = ["head_1"]
[synthesis_start]
texture = 0.2
[synthesis]
flip = 0.5
texture = 1.0
noise = 5.0
rotation = 5.0
[optimizer]
learning_rate = 0.02
[schedule]
epochs = 6
steps_per_epoch = 16
batch_size = 2
validate_every = 2
variety_epochs = 2
precision = "float32"
"""


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """The data root of three label maps and their table."""
    root = tmp_path_factory.mktemp("data")
    (root / "heads").mkdir()
    numbers = TABLE.numbers
    for index, size in enumerate((24, 22, 20)):
        nib.save(nib.Nifti1Image(numbers[head(size)].astype("int16"), np.eye(4)), root / f"heads/head_{index}.nii.gz")
    (root / "heads" / "generation.json").write_text(json.dumps(to_mapping(TABLE)))
    return root


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The file of the recipe."""
    path = tmp_path_factory.mktemp("recipe") / "heads.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def recipe(path):
    return Recipe.read(path)


@pytest.fixture(scope="module")
def run(heads, recipe, tmp_path_factory):
    """A whole run: its folder and the weight set it returned."""
    folder = tmp_path_factory.mktemp("run")
    return folder, train(recipe, folder, heads)


def sources(recipe, data_root):
    """Returns the source of training examples, and the validation scans."""
    split = find_split(recipe, data_root)
    return make_source(recipe, split, data_root), split.validation


def test_held_out_maps_are_not_trained_on(recipe, heads):
    source, validation = sources(recipe, heads)
    assert source.names == ["head_0", "head_2"] and [path.name for path in source.maps.files] == [
        "head_0.nii.gz",
        "head_2.nii.gz",
    ]
    assert [scan.name for scan in validation] == ["head_1_0", "head_1_1"]
    assert [scan.settings for scan in validation] == [recipe.synthesis_start, recipe.synthesis]


def test_examples_vary_more_from_epoch_to_epoch(recipe, heads):
    source, _ = sources(recipe, heads)
    assert [settings_of(recipe, epoch).texture for epoch in range(4)] == pytest.approx([0.2, 0.6, 1.0, 1.0])
    settings = [source.examples(epoch, slice(None)).settings for epoch in range(3)]
    assert [each.noise for each in settings] == [0.0, 2.5, 5.0]
    images, classes = source.examples(1, slice(None))[3]
    assert tuple(images.shape) == tuple(classes.shape) == (2, 16, 16, 16, 1)


def test_without_a_start_scans_vary_alike(recipe):
    constant = changed(recipe, schedule={"variety_epochs": 0})
    assert settings_of(constant, 0) == recipe.synthesis


@pytest.mark.parametrize(("window", "slices"), [((1, 4, 4), (24, 4, 4, 1)), ((4, 4, 1), (24, 4, 4, 1))])
def test_networks_of_slices_learn_from_scans_as_a_whole(recipe, heads, window, slices):
    expects = Input(window, spacing=(4.0, 4.0, 4.0), normalization="percentile")
    sliced = changed(dataclasses.replace(recipe, input=expects), schedule={"batch_size": 24})
    images, classes = sources(sliced, heads)[0].examples(0, slice(None))[0]
    assert images.shape == classes.shape == slices
    assert keras.ops.convert_to_numpy(classes).max() > 0


def test_class_maps_hold_the_structures(recipe, heads):
    source, _ = sources(recipe, heads)
    assert [np.unique(classes).tolist() for classes in source.class_maps()] == [[0, 1, 2, 3]] * 2


@pytest.mark.slow
def test_a_network_learns_from_generated_scans(run):
    _, weight_set = run
    assert weight_set.score["dice"] > 0.6 and weight_set.data["synthetic"]
    assert weight_set.score["scans"] == "2 scans generated from 1 held-out label maps"


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_end(run, recipe, heads, tmp_path):
    with pytest.raises(Stop):
        train(recipe, tmp_path / "run", heads, on_epoch=stop_after(1))
    train(recipe, tmp_path / "run", heads, resume=True)
    if keras.backend.backend() == "tensorflow":
        assert_same_run(run[0], tmp_path / "run")


@pytest.mark.slow
def test_a_preset_knows_the_scans_it_was_measured_on(run, recipe, path, heads, tmp_path):
    folder, weight_set = run
    preset = publish(recipe, path, weight_set, folder, tmp_path)
    scans = held_out(preset, "heads", heads)
    assert all(isinstance(scan, GeneratedScan) for scan in scans)
    assert rescore(preset, "default", heads)["dice"] == weight_set.score["dice"]


def test_a_generated_scan_is_the_same_each_time_and_fits_its_map(recipe, heads):
    _, (first, second) = sources(recipe, heads)
    image, labels = first.read()
    again, _ = first.read()
    other, _ = second.read()
    assert np.array_equal(image.array, again.array) and not np.array_equal(image.array, other.array)
    assert image.grid.matches(labels.grid) and image.grid.spacing == (1.0, 1.0, 1.0)
    assert set(np.unique(labels.array)) == {0, 2, 16, 41}
    # Undeformed, the scan shows every voxel of the map's structures.
    assert np.count_nonzero(labels.array) == np.isin(head(22), [1, 2, 3]).sum()


def test_what_is_segmented_as_itself_is_in_training_and_truth_alike(recipe, heads):
    """A recipe may name a tissue that the table counts as background."""
    more = dataclasses.replace(recipe, labels=(*recipe.labels, Label(507, "skin")))
    source, (first, _) = sources(more, heads)
    _, truth = first.read()
    assert set(np.unique(truth.array)) == {0, 2, 16, 41, 507}
    assert np.count_nonzero(truth.array == 507) == (head(22) == SKIN).sum()
    assert [np.unique(classes).tolist() for classes in source.class_maps()] == [[0, 1, 2, 3, 4]] * 2


def test_networks_of_other_labels_are_measured_on_the_same_scans(recipe, heads):
    """So that they can be an ensemble, such as a view from the side that does not tell left from right."""
    labels = tuple(dataclasses.replace(label, mirror=None) for label in recipe.labels if label.id != 41)
    fewer = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, merge={"41": 2}), labels=labels)
    (_, (first, second)), (_, (merged, _)) = sources(recipe, heads), sources(fewer, heads)
    assert first != merged and first.as_stored == merged.as_stored != second.as_stored
    (image, truth), (same_image, merged_truth) = first.read(), merged.read()
    assert np.array_equal(image.array, same_image.array)
    assert np.array_equal(np.where(truth.array == 41, 2, truth.array), merged_truth.array)


def test_a_broken_label_map_is_reported(recipe, heads, tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"no map")
    scan = GeneratedScan("broken", tmp_path / "broken.nii.gz", tmp_path / "broken.nii.gz", table=heads / "heads")
    image, labels, problems = scan.inspect()
    assert image is None and labels is None and "broken.nii.gz" in str(problems[0])


def test_all_problems_with_label_maps_are_listed_before_any_training(recipe, heads, tmp_path):
    folder = shutil.copytree(heads, tmp_path / "data") / "heads"
    numbers = np.where(np.arange(8)[:, None, None] < 4, 2, 9999).astype("int16").repeat(8, 1).repeat(8, 2)
    nib.save(nib.Nifti1Image(numbers, np.eye(4)), folder / "head_0.nii.gz")
    for name in ("head_1", "head_2"):
        (folder / f"{name}.nii.gz").write_bytes(b"no map")
    with pytest.raises(DatasetError) as caught:
        sources(recipe, tmp_path / "data")
    assert [problem.file.name for problem in caught.value.problems] == [f"head_{n}.nii.gz" for n in (0, 2, 1)]
    assert str(caught.value.problems[0]).endswith("got [9999] too; add them to the table")


def test_label_maps_of_different_spacings_are_reported(recipe, heads, tmp_path):
    folder = shutil.copytree(heads, tmp_path / "data") / "heads"
    image = nib.load(folder / "head_2.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), np.diag([2, 2, 2, 1])), folder / "head_2.nii.gz")
    with pytest.raises(DatasetError, match=r"head_2.nii.gz: expected voxels of .*, as in .*head_0.nii.gz, got "):
        sources(recipe, tmp_path / "data")


@pytest.fixture
def balls(data, tmp_path):
    """A copy of the tiny set of scans, of which 0 and 3 are held out, and a function that changes a label map of it."""
    shutil.copytree(data / FOLDER, tmp_path / FOLDER)

    def change(name, affine=None, number=None):
        path = tmp_path / FOLDER / "labelsTr" / f"{name}.nii.gz"
        image = nib.load(path)
        array = np.array(image.dataobj)
        if number is not None:
            array[0, 0, 0] = number
        nib.save(nib.Nifti1Image(array, image.affine if affine is None else affine), path)

    return tmp_path, change


def test_all_problems_with_scans_are_listed_before_any_training(balls, tmp_path):
    (tmp_path / "balls.toml").write_text(BALLS)
    root, change = balls
    change("ball_3", affine=np.eye(4), number=5)  # held out
    change("ball_0", number=7)  # held out too
    change("ball_1", number=9)
    (root / FOLDER / "imagesTr" / "ball_4.nii.gz").write_bytes(b"no scan")
    with pytest.raises(DatasetError) as caught:
        train(Recipe.read(tmp_path / "balls.toml"), tmp_path / "run", root)
    found = [(problem.file.parent.name, problem.file.name[:6]) for problem in caught.value.problems]
    expected = [("labelsTr", "ball_1"), ("imagesTr", "ball_4"), ("labelsTr", "ball_0")]
    assert found == [*expected, ("labelsTr", "ball_3"), ("labelsTr", "ball_3")]
    assert "expected the grid of its scan" in str(caught.value)
    assert "expected the labels [0, 17, 53], got [7] too; add them to the recipe's labels, or merge" in str(
        caught.value
    )


def test_merged_numbers_are_no_problem(balls, tmp_path):
    root, change = balls
    change("ball_3", number=7)
    change("ball_1", number=7)
    (tmp_path / "balls.toml").write_text(BALLS.replace("[data]", "[data]\nmerge = { 7 = 17 }"))
    source, validation = sources(Recipe.read(tmp_path / "balls.toml"), root)
    assert source.names == ["ball_1", "ball_2", "ball_4", "ball_5"] and len(validation) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[synthesis]",
            "[augmentation]\nflip = 0.5\n[synthesis]",
            "because generated scans are not augmented, got both; leave one",
        ),
        (
            "noise = 5.0",
            "noises = 5.0",
            "synthesis: expected known keys, got the unknown key 'noises'; did you mean 'noise'?",
        ),
        ("variety_epochs = 2", "variety_epochs = -1", "expected `variety_epochs` from 0 to 1,000,000, got -1"),
        ("[synthesis]\nflip = 0.5", "[synthesis_]\nflip = 0.5", "unknown key 'synthesis_'"),
    ],
)
def test_a_mistake_is_named(old, new, message, tmp_path):
    assert old in RECIPE
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(old, new))
    with pytest.raises(RecordError, match=message.replace("?", r"\?")):
        Recipe.read(tmp_path / "recipe.toml")


def test_a_start_needs_an_end(recipe):
    with pytest.raises(
        RecordError,
        match=r"expected a table \[synthesis\] with `synthesis_start`, \[mixture\] and `schedule.variety_epochs`, got",
    ):
        Recipe(**{**vars(recipe), "synthesis": None, "synthesis_start": Synthesis()})
