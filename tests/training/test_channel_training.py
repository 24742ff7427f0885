"""Scans of several channels and structures within structures, from a folder to a preset that segments."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from training import tumours
from training.synthetic import changed

from recalib_keras.cli.main import main
from recalib_keras.core.errors import RecordError
from recalib_keras.datasets import DatasetError
from recalib_keras.inference import Segmenter
from recalib_keras.training import Recipe, evaluate_preset, publish, train
from recalib_keras.training.data.examples import Examples, read_scan
from recalib_keras.training.data.preview import make_samples, preview, view_of
from recalib_keras.training.data.split import find_split


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    tumours.write_scans(root)
    return root


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tumours.toml"
    path.write_text(tumours.RECIPE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recipe(path):
    return Recipe.read(path)


@pytest.fixture(scope="module")
def preset(tmp_path_factory, recipe, path, data):
    """The folder of the trained preset."""
    root = tmp_path_factory.mktemp("tumours")
    weight_set = train(recipe, root / "run", data)
    return publish(recipe, path, weight_set, root / "run", root)


@pytest.mark.slow
def test_the_set_is_learnt_and_segmented(preset, recipe, data):
    described = json.loads((preset / "preset.json").read_text())["weight_sets"]["tumours"]
    assert described["input"]["channels"] == list(tumours.CHANNELS)
    assert described["input"]["normalization"] == ["zscore", "zscore", "percentile", "zscore"]
    scores = described["score"]["dice_by_structure"]
    assert list(scores) == ["whole tumour", "tumour core", "enhancing tumour"] and min(scores.values()) > 0.8
    image = data / tumours.FOLDER / "imagesTr" / "patient_0.nii.gz"
    found = Segmenter(preset, engine="keras", precision="float32")(image)
    truth = nib.load(data / tumours.FOLDER / "labelsTr" / "patient_0.nii.gz").get_fdata()
    assert (found.labels == truth).mean() > 0.95 and set(np.unique(found.labels)) == {0, 1, 2, 3}
    report = evaluate_preset(preset, data_root=data)
    measured = dict(zip(report.structures, np.nanmean(report.values("dice"), axis=0)))
    assert measured == pytest.approx(scores, abs=1e-3)
    assert "FLAIR zscore" in (preset / "README.md").read_text()


def test_evaluation_on_another_set_takes_its_channels_by_name(preset, data, tmp_path):
    shutil.copytree(data / tumours.FOLDER, tmp_path / "other")
    described = tmp_path / "other" / "dataset.json"
    content = json.loads(described.read_text())
    content["labels"] = {"0": "background", "3": "enhancing tumour", "1": "edema", "2": "core"}
    described.write_text(json.dumps(content))
    arguments = ["--preset", str(preset), "--dataset", "msd", str(tmp_path / "other"), "-o", str(tmp_path / "r.csv")]
    assert main(["evaluate", *arguments]) == 0
    assert (tmp_path / "r.csv").read_text().count("enhancing tumour") == 6


def test_files_of_each_channel_give_the_same_examples(recipe, data, tmp_path):
    tumours.write_scans(tmp_path, as_files=True)
    volumes, files = (
        [read_scan(scan, recipe.input, recipe.labels) for scan in find_split(recipe, root).training]
        for root in (data, tmp_path)
    )
    for one, other in zip(Examples(volumes, recipe, 0)[0], Examples(files, recipe, 0)[0]):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    (tmp_path / tumours.FOLDER / "imagesTr" / "patient_4_0002.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"expected the channel _0002 \(T1gd\) of patient_4, got no such file"):
        find_split(recipe, tmp_path)


def test_channels_move_together_and_change_apart(recipe, data):
    """Without noise and contrast, each channel of a changed window is that channel changed by itself."""
    scan = read_scan(find_split(recipe, data).training[0], recipe.input, recipe.labels)
    moved = changed(recipe, augmentation={"noise": 0.0, "gamma": 0.0, "blur": 0.0})
    images, classes = map(np.asarray, Examples([scan], moved, 0)[0])
    assert images.shape == (2, 12, 12, 12, 4) and classes.shape == (2, 12, 12, 12, 1)
    # The first three channels show the balls: bright where the classes, moved with them, say so.
    for channel, least in enumerate((1, 2, 3)):
        inside = classes[..., 0] >= least
        assert images[..., channel][inside].mean() > images[..., channel][~inside].mean() + 0.4
    varied = changed(recipe, augmentation={"rotation": 0.0, "noise": 0.0, "gamma": 0.0, "blur": 0.0, "brightness": 1.0})
    bright = np.asarray(Examples([scan], varied, 0)[0][0])
    plain = changed(varied, augmentation={"brightness": 0.0})
    difference = bright - np.asarray(Examples([scan], plain, 0)[0][0])
    by_channel = difference.reshape(2, -1, 4)
    assert by_channel.std(axis=1).max() < 1e-4 and len(np.unique(by_channel.mean(axis=1).round(4))) == 8


def test_slices_with_context_have_the_slices_of_each_channel(recipe, data):
    arguments = {**recipe.network.arguments, "normalization": "none"}
    planar = changed(recipe, input={"window": (1, 12, 12), "context": 1}, network={"arguments": arguments},
                     augmentation={"rotation": 0.0, "noise": 0.0, "gamma": 0.0, "blur": 0.0})  # fmt: skip
    scan = read_scan(find_split(planar, data).training[0], planar.input, planar.labels)
    images, classes = map(np.asarray, Examples([scan], planar, 0)[0])
    assert images.shape == (2, 12, 12, 12) and classes.shape == (2, 12, 12, 1)
    stacks = images.reshape(2, 12, 12, 4, 3)
    middle = scan.image[:, :12, :12]
    for channel in range(4):
        found = stacks[0, :, :, channel, 1]
        assert any(np.allclose(found, scan.image[x, y : y + 12, z : z + 12, channel], atol=1e-5)
                   for x in range(len(middle)) for y in (0,) for z in (0, 1))  # fmt: skip


def test_a_picture_of_examples_has_a_row_for_each_channel(recipe, data, tmp_path):
    pytest.importorskip("matplotlib")
    scan = read_scan(find_split(recipe, data).training[0], recipe.input, recipe.labels)
    rows = [
        make_samples(scan, recipe, view_of(recipe.input), 2, np.random.default_rng(0), channel) for channel in range(4)
    ]
    assert [row.name for row in rows] == [f"patient_1 {channel}" for channel in tumours.CHANNELS]
    assert all(np.array_equal(row.labels, rows[0].labels) for row in rows)
    shown = rows[0].labels[0] > 0
    contrasts = [row.images[0][shown].mean() - row.images[0][~shown].mean() for row in rows]
    assert contrasts[0] > 0.5 > abs(contrasts[3])
    assert preview(recipe, data, tmp_path / "examples.png", scans=1, samples=2).stat().st_size > 1000


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(recipe, data, tmp_path):
    short = changed(recipe, schedule={"epochs": 2, "examples_per_scan": 1}, optimizer={"decay": "constant"})
    train(short, tmp_path / "whole", data)
    train(changed(short, schedule={"epochs": 1}), tmp_path / "parts", data)
    train(short, tmp_path / "parts", data, resume=True)
    whole, parts = ((tmp_path / run / "best.safetensors").read_bytes() for run in ("whole", "parts"))
    assert whole == parts


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"data": {"volume": 1}}, "expected one of `input.channels` and `data.volume`, which takes a single channel"),
        ({"loss": {"class_weights": "median_frequency"}}, "expected `loss.class_weights` 'none' with a sigmoid"),
        ({"network": {"arguments": {}}}, "expected `classifier_activation` 'sigmoid' for labels that include others"),
        ({"data": {"ignore_label": 3}}, "expected `data.ignore_label` to be none of the labels, got 3"),
        ({"data": {"ignore_label": 5, "merge": {"5": 1}}}, "expected `ignore_label` to have no part in `merge`, got 5"),
    ],
)
def test_what_does_not_fit_together(recipe, tables, message):
    with pytest.raises(RecordError, match=message):
        changed(recipe, **tables)


def test_a_network_of_one_channel_must_choose(recipe, data):
    with pytest.raises(DatasetError, match="expected images of one channel, got 4 in each"):
        find_split(changed(recipe, input={"channels": None, "normalization": "zscore"}), data)
    alone = changed(recipe, input={"channels": None, "normalization": "zscore"}, data={"volume": 2})
    assert read_scan(find_split(alone, data).training[0], alone.input, alone.labels).image.ndim == 3
