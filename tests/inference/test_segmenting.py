import dataclasses
import functools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import nibabel as nib
import numpy as np
import pytest

import recalib_keras
from recalib_keras import volumes, zoo
from recalib_keras.inference import Ensemble, Segmenter, Undecided, load_segmenter, segment
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label, Network, Preset, WeightSet, weights

LABELS = (Label(0, "background"), Label(3, "left", mirror=4), Label(4, "right", mirror=3))
VIEWS = {"sagittal": (1, 8, 8), "coronal": (8, 1, 8), "axial": (8, 8, 1)}


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """A preset with a weight set for each view, of random weights; its folder."""
    folder = tmp_path_factory.mktemp("views")
    weight_sets = {}
    for seed, (name, window) in enumerate(VIEWS.items()):
        keras.utils.set_random_seed(seed)
        network, expects = Network("UNet", {"levels": 1, "filters": 4, "normalization": "instance"}), Input(window)
        model = network.build(expects.shape, len(LABELS))
        content = weights.serialize(model)
        (folder / f"{name}.safetensors").write_bytes(content)
        weight_sets[name] = WeightSet(
            name, network, expects, LABELS, f"{name}.safetensors", weights.sha256(content), model.count_params()
        )
    (folder / "preset.json").write_text(Preset("views", weight_sets).to_json())
    return folder


@pytest.fixture
def scan():
    array = np.random.default_rng(0).normal(size=(8, 9, 8)).astype("float32")
    return volumes.label_image(np.zeros(array.shape, int), Volume(array, Grid(array.shape, np.eye(4)))), array


@pytest.fixture
def image(scan):
    labels, array = scan
    return type(labels)(array, labels.affine)


def labels_of(image):
    return np.asarray(image.dataobj)


EXACT = {"engine": "keras", "precision": "float32"}


def test_several_weight_sets_are_averaged(views, image):
    shares = {"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}
    members = [(Segmenter.from_preset(views, name), share) for name, share in shares.items()]
    expected = Ensemble(members)(volumes.read(image))
    labels = labels_of(recalib_keras.segment(image, views, weights=shares, **EXACT))
    assert np.array_equal(labels, expected) and len(np.unique(labels)) == 3
    for name in shares:
        assert not np.array_equal(labels, labels_of(segment(image, views, weights=name, **EXACT)))


def test_an_ensemble_of_the_preset_goes_by_its_name(views, image, tmp_path):
    folder, shares = shutil.copytree(views, tmp_path / "views"), {"sagittal": 0.2, "axial": 0.8}
    preset = dataclasses.replace(zoo.info(folder), ensembles={"all": shares})
    (folder / "preset.json").write_text(preset.to_json())
    expected = labels_of(segment(image, views, weights=shares, **EXACT))
    assert np.array_equal(labels_of(segment(image, folder, weights="all", **EXACT)), expected)
    assert np.array_equal(labels_of(segment(image, folder, **EXACT)), expected)  # the first weights are part of it
    alone = labels_of(segment(image, views, weights="sagittal", **EXACT))
    assert np.array_equal(labels_of(segment(image, folder, weights="sagittal", **EXACT)), alone)


def test_names_alone_count_the_same(views, image):
    by_names = labels_of(segment(image, views, weights=["axial", "coronal"], **EXACT))
    by_shares = labels_of(segment(image, views, weights={"axial": 2, "coronal": 2}, **EXACT))
    assert np.array_equal(by_names, by_shares)
    ensemble = load_segmenter(views, ["axial", "coronal"], **EXACT)
    assert isinstance(ensemble, Ensemble) and [weight for _, weight in ensemble.members] == [1, 1]
    assert isinstance(load_segmenter(views, "axial", **EXACT), Segmenter)


def test_a_description_that_is_mended_counts_at_once(views, image, tmp_path):
    folder = shutil.copytree(views, tmp_path / "views")
    before = labels_of(segment(image, folder, weights="axial", **EXACT))
    text = (folder / "preset.json").read_text()
    (folder / "preset.json").write_text(text.replace('"id": 4', '"id": 9').replace('"mirror": 4', '"mirror": 9'))
    after = labels_of(segment(image, folder, weights="axial", **EXACT))
    assert 4 in before and np.array_equal(after, np.where(before == 4, 9, before))


def test_threads_get_their_own_labels(openvino, bright_preset):
    """OpenVINO writes over its last result, whoever asks next."""
    arrays = np.random.default_rng(0).normal(size=(8, 40, 40, 40)).astype("float32")
    images = [nib.Nifti1Image(array, np.eye(4)) for array in arrays]
    one_by_one = functools.partial(segment, preset=bright_preset, engine="openvino", precision="float32")
    expected = [labels_of(one_by_one(image)) for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(np.array_equal, map(labels_of, pool.map(one_by_one, images)), expected))


def test_flips_reach_every_member(views, image):
    one, both = (labels_of(segment(image, views, weights="axial", flips=flips, **EXACT)) for flips in (False, True))
    assert not np.array_equal(one, both)
    by_hand = Segmenter.from_preset(views, "axial", flips=True)(volumes.read(image))
    assert np.array_equal(both, by_hand)
    ensemble = load_segmenter(views, ["axial", "coronal"], flips=True, **EXACT)
    assert all(segmenter.flips for segmenter, _ in ensemble.members)


def test_an_undecided_segmenter_is_decided_by_its_first_scan(openvino, bright_preset, image, tmp_path, monkeypatch):
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path))
    segmenter = load_segmenter(bright_preset)
    assert isinstance(segmenter.engine, Undecided)
    scan = volumes.read(image)
    labels = segmenter(scan)
    assert not isinstance(segmenter.engine, Undecided)
    expected = np.where(scan.array > scan.array.mean() + 0.002 * scan.array.std(), 7, 0)
    assert (labels == expected).mean() > 0.99
    assert type(load_segmenter(bright_preset).engine) is type(segmenter.engine)


def test_a_scan_without_structures_decides_nothing(openvino, bright_preset, tmp_path, monkeypatch):
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path))
    array = np.zeros((8, 8, 8), "float32")
    array[0, 0, 0] = -1000  # all else is above the mean by a hair, less than what counts as bright
    segmenter = load_segmenter(bright_preset)
    segmenter.weight_set = dataclasses.replace(
        segmenter.weight_set, input=dataclasses.replace(segmenter.input, normalization="none")
    )
    assert (segmenter(Volume(array, Grid(array.shape, np.eye(4)))) == 0).all()
    assert isinstance(segmenter.engine, Undecided) and list(tmp_path.iterdir()) == []


def test_segments_by_the_engine_that_is_asked_for(openvino, bright_preset, image):
    results = [
        labels_of(segment(image, bright_preset, engine=engine, precision="float32")) for engine in ("keras", "openvino")
    ]
    assert np.array_equal(*results) and set(np.unique(results[0])) == {0, 7}


def test_names_without_keras():
    """Keras takes seconds to import, and OpenVINO does without it."""
    code = "import sys, recalib_keras.inference; print({'keras', 'tensorflow', 'openvino'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
