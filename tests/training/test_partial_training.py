"""Training, validation and evaluation where not everything was looked for."""

import dataclasses
import shutil

import keras
import nibabel as nib
import numpy as np
import pytest
from training.synthetic import FOLDER, IGNORED, changed, make_partial, write_recipe, write_scans

from recalib_keras.cli.main import main
from recalib_keras.datasets import LabelledScan, survey
from recalib_keras.evaluation import Case, evaluate
from recalib_keras.inference import Segmenter
from recalib_keras.training import DiceCrossEntropy, Recipe, evaluate_preset, publish, train
from recalib_keras.training.data.examples import Examples, Scan, random_window
from recalib_keras.training.data.sources import ScanSource
from recalib_keras.training.data.split import find_split
from recalib_keras.training.losses.label_sets import LabelSets, known_classes
from recalib_keras.training.validation import validate
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label

LABELS = (Label(0, "background"), Label(17, "left", mirror=53), Label(53, "right", mirror=17))


def scan(name, **arguments):
    return LabelledScan(name, f"{name}.nii", f"{name}.nii", **arguments)


def test_sets_are_those_that_occur_and_their_mirror_images():
    assert LabelSets.of([scan("a"), scan("b", annotated=(17, 53))], LABELS).sets == ()
    found = LabelSets.of([scan("a", annotated=(17,)), scan("b")], LABELS)
    assert found.sets == ((0, 1, 2), (0, 1), (0, 2))
    assert LabelSets.of([scan("a", ignore=9)], LABELS).sets == ((0, 1, 2),)
    nothing = LabelSets.of([scan("a", annotated=())], LABELS)
    assert nothing.sets == ((0, 1, 2),)
    assert nothing.codes(known_classes(scan("a", annotated=()), LABELS))[0] == nothing.anything == 3


def test_codes_of_windows():
    sets = LabelSets(3, ((0, 1, 2), (0, 2)))
    classes = np.array([[0, 1, 3], [0, 2, 0]]).reshape(2, 3, 1, 1)
    found = sets.coded(classes, [[True, True, False], [True] * 3])
    assert np.ravel(found).tolist() == [4, 1, 3, 0, 2, 0]
    again = keras.ops.convert_to_numpy(
        sets.coded(keras.ops.convert_to_tensor(classes), [[True, True, False], [True] * 3])
    )
    np.testing.assert_array_equal(found, again)


NESTED = (Label(0, "background"), Label(1, "whole", includes=(2, 3)), Label(2, "core", includes=(3,)), Label(3, "edge"))


@pytest.mark.parametrize(
    ("annotated", "classes"),
    [
        ((1,), {0: (0,), 1: (1, 2, 3)}),  # outside the whole there is no core; inside, nobody looked for one
        ((1, 3), {0: (0,), 1: (1, 2), 3: (3,)}),
        ((2,), {0: (0, 1), 2: (2, 3)}),  # a voxel without core may be whole
        ((3,), {0: (0, 1, 2), 3: (3,)}),
        ((1, 2, 3), {0: (0,), 1: (1,), 2: (2,), 3: (3,)}),
    ],
)
def test_what_a_voxel_of_nested_structures_may_be(annotated, classes):
    """A number stands for one structure: 1 for the whole, with all that lies in it."""
    one = scan("a", annotated=annotated)
    sets = LabelSets.of([one], NESTED)
    meaning = [*((index,) for index in range(4)), *sets.sets]
    codes = sets.codes(known_classes(one, NESTED))
    assert {label: meaning[codes[label]] for label in classes} == classes
    with_ignored = np.array([*classes, 4]).reshape(1, -1, 1, 1, 1)
    found = np.ravel(LabelSets.of([one, scan("b", ignore=9)], NESTED).coded(with_ignored, [known_classes(one, NESTED)]))
    assert found[-1] == 4 and (found[:-1] != 4).all()


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path / "balls.toml")


def test_what_a_flip_makes_unknown(recipe):
    """The left structure was looked for; in the mirror image it is the right one, with a code of its own."""
    flipping = changed(dataclasses.replace(recipe, labels=LABELS), augmentation={"flip": 1.0, "rotation": 0.0})
    classes = np.zeros((12, 12, 12), "uint8")
    classes[3:6], classes[0] = 1, 3  # left structure; voxels that nobody looked at
    one = Scan("a", classes.astype("float32"), classes, known=[True, True, False])
    sets = LabelSets.of([scan("a", annotated=(17,), ignore=9)], LABELS)
    for chance, background, structure in ((0.0, 5, 1), (1.0, 4, 2)):
        settings = changed(flipping, augmentation={"flip": chance, "translation": 0.0})
        codes = np.asarray(Examples([one], settings, 0, label_sets=sets)[0][1])
        assert set(np.unique(codes)) == {background, structure, 3}
        expected = {5: (0, 2), 4: (0, 1)}[background]
        assert sets.sets[background - 3] == expected


def test_nothing_outside_a_scan_is_known_to_be_background(recipe):
    labels = (Label(0, "background"), Label(17, "a"), Label(53, "b"))
    wide = changed(dataclasses.replace(recipe, labels=labels), augmentation={"rotation": 30.0, "translation": 4.0})
    classes = np.zeros((5, 5, 5), "uint8")
    one = Scan("a", classes.astype("float32"), classes, known=[True, True, False])
    sets = LabelSets.of([scan("a", annotated=(17,))], labels)
    codes = np.asarray(Examples([one], wide, 0, label_sets=sets)[0][1])
    assert np.unique(codes).tolist() == [sets.codes(one.known)[0]]


def test_windows_are_centred_on_what_is_known():
    classes = np.zeros((4, 4, 4), "uint8")
    classes[0, 0, 0], classes[3, 3, 3] = 1, 3
    scan = Scan("a", classes, classes, known=[True] * 3)
    assert scan.counts.sum(axis=0).tolist() == [62, 1, 0]  # the voxel of class 3 was not looked at
    window = random_window(scan, Input((2, 2, 2)), foreground=1.0, rng=np.random.default_rng(0))
    assert np.unique(window[1]).tolist() == [0, 1]


def segmenter_of(labels):
    """Returns a function that finds the given labels in every scan, as `Segmenter` does."""
    from types import SimpleNamespace

    def segment(image, **_):
        return SimpleNamespace(label_map=Volume(labels, Grid(labels.shape, np.eye(4))))

    segment.labels = LABELS
    return segment


class InMemory(LabelledScan):
    """A labelled scan that reads arrays."""

    def read(self):
        truth = np.array([17, 17, 0, 0, IGNORED, IGNORED]).reshape(6, 1, 1)
        grid = Grid(truth.shape, np.eye(4))
        return Volume(truth.astype("float32"), grid), Volume(truth, grid)


def test_validation_leaves_out_what_is_unknown():
    found = np.array([17, 0, 53, 53, 53, 17]).reshape(6, 1, 1)
    everything = InMemory("a", "i", "l", ignore=IGNORED)
    score = validate(segmenter_of(found), [everything])
    assert score["dice_by_structure"] == {"left": pytest.approx(2 / 3, abs=1e-4), "right": 0.0}
    partial = InMemory("a", "i", "l", ignore=IGNORED, annotated=(17,))
    assert validate(segmenter_of(found), [partial])["dice_by_structure"] == {"left": pytest.approx(2 / 3, abs=1e-4)}
    assert validate(segmenter_of(found), [everything, partial])["dice_by_structure"]["right"] == 0.0


def test_a_whole_that_was_looked_for_is_measured_without_what_lies_in_it():
    found, labels = np.array([17, 53, 0, 0, 0, 0]).reshape(6, 1, 1), LABELS
    segment = segmenter_of(found)
    segment.labels = (labels[0], dataclasses.replace(labels[1], includes=(53,)), labels[2])
    score = validate(segment, [InMemory("a", "i", "l", ignore=IGNORED, annotated=(17,))])
    assert score["dice_by_structure"] == {"left": 1.0}


def test_a_report_has_no_row_for_what_is_unknown():
    truth = np.array([1, 1, 0, 2]).reshape(4, 1, 1)
    maps = tuple(Volume(array, Grid(truth.shape, np.eye(4))) for array in (truth[::-1].copy(), truth))
    structures = [Label(1, "one", includes=(2,)), Label(2, "two")]
    report = evaluate([Case("a", lambda: maps, known={1}), Case("b", lambda: maps)], structures)
    assert [(row.scan, row.structure) for row in report.rows] == [("a", "one"), ("b", "one"), ("b", "two")]
    assert report.values("dice")[0, 0] == pytest.approx(2 / 3) and np.isnan(report.values("dice")[0, 1])


def test_the_command_ignores_a_label(tmp_path, capsys):
    for name, values in (("p", [1, 1, 1, 0]), ("t", [1, 9, 9, 0])):
        nib.save(nib.Nifti1Image(np.array(values, "uint8").reshape(4, 1, 1), np.eye(4)), tmp_path / f"{name}.nii")
    paths = [str(tmp_path / "p.nii"), str(tmp_path / "t.nii"), "-o", str(tmp_path / "r.csv")]
    assert main(["evaluate", *paths, "--ignore-label", "9"]) == 0
    assert (tmp_path / "r.csv").read_text().splitlines()[1].startswith("p,label 1,1,both,1")


@pytest.fixture
def partial(recipe, tmp_path):
    """The balls, of which every other patient's core was not looked for, and one corner of each scan by nobody."""
    write_scans(tmp_path)
    make_partial(tmp_path / FOLDER)
    network = {"arguments": {"levels": 1, "filters": 8, "normalization": "batch"}}
    return changed(recipe, data={"ignore_label": IGNORED}, network=network, schedule={"epochs": 8})


@pytest.mark.slow
def test_a_partly_labelled_set_is_learnt(partial, tmp_path):
    """The cores that were not looked for are found all the same: nothing told the network that they are background."""
    weight_set = train(partial, tmp_path / "run", tmp_path)
    assert min(weight_set.score["dice_by_structure"].values()) > 0.75
    folder = publish(partial, tmp_path / "balls.toml", weight_set, tmp_path / "run", tmp_path / "presets")
    report = evaluate_preset(folder, data_root=tmp_path)
    rows = {(row.scan, row.structure) for row in report.rows}
    assert ("ball_3", "shell") in rows and ("ball_3", "core") not in rows and ("ball_0", "core") in rows
    write_scans(tmp_path / "whole")
    found = Segmenter(folder, engine="keras", precision="float32")(tmp_path / FOLDER / "imagesTr" / "ball_1.nii.gz")
    truth = nib.load(tmp_path / "whole" / FOLDER / "labelsTr" / "ball_1.nii.gz").get_fdata()
    assert (found.labels[truth == 53] == 53).mean() > 0.6


def test_class_weights_count_what_is_known(partial, tmp_path):
    weighted = changed(partial, loss={"class_weights": "median_frequency"}, schedule={"epochs": 1})
    assert np.isfinite(train(weighted, tmp_path / "run", tmp_path).score["dice"])


def test_without_the_ignore_label_its_number_is_a_problem(partial, tmp_path):
    split = find_split(changed(partial, data={"ignore_label": None}), tmp_path)
    with pytest.raises(Exception, match=r"looked for in ball_1, \[17\], got \[200\] too"):
        ScanSource(partial, split)


@pytest.mark.slow
def test_real_contours_of_which_some_are_missing(data_root, tmp_path):
    """Two head-and-neck patients: background and an organ that was not looked for may change places."""
    source, folder = data_root / "head_and_neck", tmp_path / "head_and_neck"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
        for name in ("pt_001", "pt_002"):
            shutil.copy(source / part / f"{name}.nii.gz", folder / part)
    for name in ("annotated.json", "dataset.json"):
        shutil.copy(source / name, folder)
    found = survey(folder)
    names = found.labels
    labels = [{"id": number, "name": name} for number, name in names.items()]
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"""
preset = "unet3d"
weights = "head_and_neck"
title = "organs at risk"
labels = [{", ".join(f'{{ id = {one["id"]}, name = "{one["name"]}" }}' for one in labels)}]
[network]
architecture = "UNet"
arguments = {{ levels = 3, filters = 2, normalization = "instance", pool_sizes = [[2, 2, 1], [2, 2, 2], [2, 2, 2]] }}
[input]
window = [32, 32, 12]
normalization = "ct"
[data]
folder = "head_and_neck"
source = "OpenKBP"
licence = "MIT"
validate_every = 2
[optimizer]
learning_rate = 0.01
[schedule]
epochs = 1
batch_size = 2
steps_per_epoch = 1
foreground = 1.0
precision = "float32"
""",
        encoding="utf-8",
    )
    recipe = Recipe.read(recipe)
    split = find_split(recipe, tmp_path)
    source = ScanSource(recipe, split)
    (patient,) = split.training
    unknown = [index for index, label in enumerate(recipe.labels) if not patient.knows(label.id)]
    assert patient.name == "pt_002" and unknown
    _, codes = (np.asarray(part) for part in source.examples(0, slice(None))[0])
    assert codes.max() > len(recipe.labels)
    loss = DiceCrossEntropy(label_sets=source.label_sets.sets)
    shares = np.random.default_rng(0).dirichlet(np.ones(len(recipe.labels)), codes.shape[:-1]).astype("float32")
    swapped, background = shares.copy(), codes[..., 0] > len(recipe.labels)
    organ = unknown[0]
    swapped[background, 0], swapped[background, organ] = shares[background, organ], shares[background, 0]
    one, other = (float(loss(codes, probabilities)) for probabilities in (shares, swapped))
    assert one == pytest.approx(other, rel=1e-5)
    line = []
    train(recipe, tmp_path / "run", tmp_path, on_epoch=line.append)
    assert np.isfinite(line[0]["validation_loss"])
    assert set(line[0]["dice_by_structure"]) <= {
        label.name for label in recipe.labels if split.validation[0].knows(label.id)
    }
