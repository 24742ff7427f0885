"""All at once: several channels, unknown labels, nested structures, pooling by axis, from the cache and in folds."""

import dataclasses
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from training import tumours
from training.runs import Stop, assert_same_run, stop_after
from training.synthetic import changed

from recalib_keras import models
from recalib_keras.core import cache
from recalib_keras.core.errors import RecordError
from recalib_keras.datasets import Contents
from recalib_keras.training import DiceCrossEntropy, Recipe, find_split, train
from recalib_keras.training.cross_validation import fold_of
from recalib_keras.training.data.class_balance import class_balance
from recalib_keras.training.data.examples import Scan, random_window, read_scan
from recalib_keras.training.data.scan_cache import ScanCache
from recalib_keras.training.data.sources import make_source
from recalib_keras.training.losses.deep_supervision import SupervisedModel, of_resolution
from recalib_keras.zoo import Input, Label

IGNORED = 9
NETWORK = {"levels": 2, "filters": 4, "normalization": "batch", "pool_sizes": [[2, 2, 1], [2, 2, 2]]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Tumours whose enhancing part was looked for in every other patient; nobody looked at one corner."""
    root = tmp_path_factory.mktemp("data")
    tumours.write_scans(root, as_files=True)
    folder = root / tumours.FOLDER
    annotated = {f"patient_{index}": [1, 2, 3] if index % 2 else [1, 2] for index in range(6)}
    for name, numbers in annotated.items():
        path = folder / "labelsTr" / f"{name}.nii.gz"
        array = np.asarray(nib.load(path).dataobj).copy()
        array[~np.isin(array, numbers)] = 0
        array[:4, :4, :4] = IGNORED
        nib.save(nib.Nifti1Image(array, np.diag([-1, 1, 1, 1])), path)
    (folder / "annotated.json").write_text(json.dumps(annotated))
    return root


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tumours.toml"
    path.write_text(tumours.RECIPE, encoding="utf-8")
    return changed(
        Recipe.read(path),
        network={"arguments": {**NETWORK, "classifier_activation": "sigmoid"}},
        input={"window": (8, 8, 8)},
        data={"ignore_label": IGNORED},
        loss={"deep_supervision": True},
        schedule={"epochs": 2, "examples_per_scan": 2, "foreground": 0.7, "sampling": "class"},
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of an empty cache."""
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def as_softmax(recipe):
    """Returns the recipe for a softmax, with weights of the classes and mirror images."""
    labels = [dataclasses.replace(label, includes=()) for label in recipe.labels]
    sides = (*labels[:2], dataclasses.replace(labels[2], mirror=3), dataclasses.replace(labels[3], mirror=2))
    flipped = changed(
        dataclasses.replace(recipe, labels=sides), network={"arguments": NETWORK}, augmentation={"flip": 0.5}
    )
    return changed(flipped, loss={"class_weights": "median_frequency"})


@pytest.mark.slow
@pytest.mark.parametrize("change", [lambda recipe: recipe, as_softmax], ids=["sigmoid", "softmax"])
def test_a_fold_from_the_cache_is_that_from_memory_also_when_it_is_resumed(change, recipe, data, folder, tmp_path):
    recipe, lines = fold_of(change(recipe), 2, 3), []
    train(recipe, tmp_path / "memory", data, use_cache=False, on_epoch=lines.append)
    assert not (folder / "scans").exists()
    with pytest.raises(Stop):
        train(recipe, tmp_path / "cache_run", data, on_epoch=stop_after(1))
    assert cache.use_of("scans").entries == 4
    train(recipe, tmp_path / "cache_run", data, resume=True)
    assert_same_run(tmp_path / "memory", tmp_path / "cache_run")
    assert np.isfinite([lines[-1]["loss"], lines[-1]["validation_loss"]]).all()


def test_what_is_known_and_which_channels_decide_the_place_in_the_cache(recipe, data, folder):
    labelled = find_split(recipe, data).training[0]
    expects, labels = recipe.input, recipe.labels
    first, second, *others = labelled.channels
    fewer = dataclasses.replace(expects, channels=expects.channels[:2], normalization="zscore")
    folders = [
        ScanCache(expects, labels).folder(labelled),
        ScanCache(expects, labels).folder(dataclasses.replace(labelled, annotated=(1,))),
        ScanCache(expects, labels).folder(dataclasses.replace(labelled, annotated=None)),
        ScanCache(expects, labels).folder(dataclasses.replace(labelled, ignore=None)),
        ScanCache(expects, labels).folder(dataclasses.replace(labelled, channels=(second, first, *others))),
        ScanCache(fewer, labels).folder(dataclasses.replace(labelled, channels=(first, second))),
        ScanCache(dataclasses.replace(expects, normalization="zscore"), labels).folder(labelled),
    ]
    assert len(set(folders)) == len(folders)


def test_volumes_in_another_order_have_another_place_in_the_cache(recipe, folder, tmp_path):
    tumours.write_scans(tmp_path)
    names = ("T1w", "FLAIR", "T1gd", "T2w")
    turned = changed(recipe, input={"channels": names})
    (one, other) = (find_split(chosen, tmp_path).training[0] for chosen in (recipe, turned))
    stored = [ScanCache(chosen.input, chosen.labels).scan(scan) for chosen, scan in ((recipe, one), (turned, other))]
    assert np.array_equal(stored[0].image[..., 1], stored[1].image[..., 0])
    assert not np.array_equal(stored[0].image[..., 0], stored[1].image[..., 0])


def test_a_changed_channel_is_prepared_again(recipe, data, folder, tmp_path):
    shutil.copytree(data / tumours.FOLDER, tmp_path / tumours.FOLDER)
    labelled = find_split(recipe, tmp_path).training[0]
    before = ScanCache(recipe.input, recipe.labels).folder(labelled)
    shutil.copy(labelled.channels[0].file, labelled.channels[3].file)
    assert ScanCache(recipe.input, recipe.labels).folder(labelled) != before


def test_folds_are_dealt_out_by_structures_alone(recipe, data, folder):
    splits = [find_split(fold_of(recipe, fold, 3), data) for fold in (1, 2, 3)]
    for split in splits:  # every fold has one patient of each kind
        assert sorted(scan.annotated for scan in split.validation) == [(1, 2), (1, 2, 3)]
    assert Contents().labels_in(splits[0].training[0]) <= {1, 2, 3}


def test_what_the_set_ignores_is_no_label(recipe, data, tmp_path):
    shutil.copytree(data / tumours.FOLDER, tmp_path / tumours.FOLDER)
    table = tmp_path / tumours.FOLDER / "dataset.json"
    content = json.loads(table.read_text())
    table.write_text(json.dumps({**content, "labels": {**content["labels"], str(IGNORED): "ignore"}}))
    plain = changed(recipe, data={"ignore_label": None})
    assert {scan.ignore for scan in find_split(plain, tmp_path).training} == {IGNORED}
    more = dataclasses.replace(plain, labels=(*plain.labels, Label(IGNORED, "ignore")))
    with pytest.raises(RecordError, match=r"labels` without the one that the data set calls `ignore`, .* number 9 amo"):
        find_split(more, tmp_path)


@pytest.mark.parametrize("by_class", [None, np.array([0.0, 1, 1]), np.array([5.0, 1, 1])])
def test_no_window_is_centred_on_what_is_unknown(by_class):
    """Class 2 was not looked for, so voxels without a label may be of it; those of number 3 may be anything."""
    classes = np.random.default_rng(0).choice([0, 1, 3], (10, 10, 10), p=[0.5, 0.05, 0.45]).astype("uint8")
    for axis in range(3):  # the first planes cannot be in the middle of a window
        np.moveaxis(classes, axis, 0)[0][np.moveaxis(classes, axis, 0)[0] < 2] = 3
    scan = Scan("a", classes.astype("float32"), classes, known=[True, True, False])
    rng, expects = np.random.default_rng(0), Input((2, 2, 2))

    def centres(scan):
        return {int(random_window(scan, expects, 1.0, rng, by_class)[1][1, 1, 1]) for _ in range(100)}

    assert centres(scan) == {1}
    may_be_background = by_class is not None and by_class[0] > 0
    assert centres(dataclasses.replace(scan, known=[True] * 3)) == ({0, 1} if may_be_background else {1})


def test_the_balance_expects_no_window_on_what_is_unknown(recipe, data):
    shares = changed(recipe, schedule={"class_shares": {"0": 3.0}})
    scans = [read_scan(scan, recipe.input, recipe.labels) for scan in find_split(recipe, data).training]
    partial = [scan for scan in scans if not all(scan.known)]
    assert class_balance(partial, shares)[0].centred == 0
    assert sum(one.centred for one in class_balance(scans, shares)) == pytest.approx(0.7)


def test_where_nothing_was_looked_for_class_weights_count_nothing(recipe, data, tmp_path):
    shutil.copytree(data / tumours.FOLDER, tmp_path / tumours.FOLDER)
    table = tmp_path / tumours.FOLDER / "annotated.json"
    content = json.loads(table.read_text())
    table.write_text(json.dumps({**content, "patient_1": []}))
    path = tmp_path / tumours.FOLDER / "labelsTr" / "patient_1.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((14, 12, 13), "uint8"), np.diag([-1, 1, 1, 1])), path)
    source = make_source(recipe, find_split(recipe, tmp_path), tmp_path)
    maps = dict(zip(source.names, source.class_maps()))
    assert maps["patient_1"].size == 0
    assert maps["patient_2"].size == 14 * 12 * 13 - 64 and maps["patient_2"].max() == 2


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_lower_maps_learn_nothing_where_nothing_is_known(activation):
    """Pooled by axis: the map of a lower decoder has half the voxels along two axes."""
    regions = ((1, 2), (2,)) if activation == "sigmoid" else None
    loss = DiceCrossEntropy(activation=activation, label_sets=((0, 1, 2), (0, 2)), regions=regions)
    network = models.UNet((8, 8, 8, 2), 2 if regions else 3, levels=2, filters=4, pool_sizes=[[2, 2, 1], [2, 2, 2]],
                          classifier_activation=activation)  # fmt: skip
    supervised = SupervisedModel(network, loss)
    codes = np.random.default_rng(0).integers(0, 5, (2, 8, 8, 8, 1))
    codes[:, :4] = 3
    rng, extra = np.random.default_rng(0), 1 if regions else 0  # the probabilities of a softmax sum to 1

    def drawn(like):
        return rng.dirichlet(np.ones(like.shape[-1] + extra), like.shape[:-1])[..., : like.shape[-1]]

    outputs = [drawn(one).astype("float32") for one in supervised(np.zeros((2, 8, 8, 8, 2), "float32"))]
    assert [one.shape[1:-1] for one in outputs] == [(8, 8, 8), (4, 4, 8)]
    assert np.array_equal(of_resolution(codes, outputs[1]), codes[:, ::2, ::2])

    def total(lower):
        return float(supervised.compute_loss(y=codes, y_pred=[outputs[0], lower]))

    known, unknown = outputs[1].copy(), outputs[1].copy()
    unknown[:, :2], known[:, 2:] = drawn(unknown[:, :2]), drawn(known[:, 2:])
    assert total(unknown) == pytest.approx(total(outputs[1]), rel=1e-6)
    assert total(known) != pytest.approx(total(outputs[1]), rel=1e-4)
