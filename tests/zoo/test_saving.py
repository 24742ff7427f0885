"""A network that was fine-tuned by `fit` becomes a preset that `load`, `segment` and `evaluate` take."""

import json
import shlex
import shutil

import keras
import nibabel as nib
import numpy as np
import pytest
from views import SIZE, write_views

import recalib_keras
from recalib_keras import models, zoo
from recalib_keras.cli.main import main
from recalib_keras.training import DiceCrossEntropy

EXACT = ["--engine", "keras", "--precision", "float32"]
NAMES = ["background", "core", "spot"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder of two scans with their label maps, 1 and 2, and the names of these."""
    folder, rng = tmp_path_factory.mktemp("mine"), np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for index in range(2):
        labels = np.zeros((12, 11, 12), "uint8")
        labels[3:8, 3:8, 3:6], labels[3:8, 3:8, 6:9] = 1, 2
        for kind, array in (("images", labels + rng.normal(0, 0.1, labels.shape)), ("labels", labels)):
            nib.save(nib.Nifti1Image(array, np.diag([-1.0, 1.0, 1.0, 1.0])), folder / kind / f"scan_{index}.nii.gz")
    (folder / "labels.json").write_text('{"1": "core", "2": "spot"}')
    return folder


def fine_tuned(preset_folder, scans):
    """The preset's network with other classes, trained for two steps in plain Keras."""
    model = zoo.load(preset_folder, num_classes=3, input_shape=(12, 12, 12, 1))
    seen = model.preprocess(scans / "images" / "scan_0.nii.gz", labels=NAMES)
    model.compile(keras.optimizers.Adam(0.01), DiceCrossEntropy())
    model.fit(seen.windows, seen.classes(scans / "labels" / "scan_0.nii.gz"), epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def saved(preset_folder, scans, tmp_path_factory):
    """The model and the folder of its preset."""
    model = fine_tuned(preset_folder, scans)
    folder = tmp_path_factory.mktemp("saved") / "long" / "spots"
    described = {"title": "spots in balls", "source": "our hospital", "licence": "CC BY 4.0"}
    assert zoo.save(model, folder, like=preset_folder, labels=NAMES, **described) == folder
    return model, folder


def test_it_loads_again(saved):
    model, folder = saved
    again = zoo.load(folder)
    for weight, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert zoo.load(folder, num_classes=7).output_shape[-1] == 7


def test_its_description(saved, preset_folder):
    model, folder = saved
    described, like = zoo.weight_set(folder), zoo.weight_set(preset_folder)
    assert zoo.info(folder).name == "spots" and list(zoo.info(folder).weight_sets) == ["fine_tuned"]
    assert (described.network, described.input) == (like.network, like.input)
    assert [(label.id, label.name) for label in described.labels] == list(enumerate(NAMES))
    assert described.labels[1].color == next(label.color for label in like.labels if label.name == "core")
    assert described.parameters == model.count_params() and described.title == "spots in balls"
    assert described.data == {"source": "our hospital", "licence": "CC BY 4.0", "starts_from": "tiny3d"}
    assert {path.name for path in folder.iterdir()} == {"preset.json", "README.md", "fine_tuned.safetensors"}


def test_it_segments_in_python_and_by_the_command(saved, scans, tmp_path):
    model, folder = saved
    scan = scans / "images" / "scan_1.nii.gz"
    seen = zoo.preprocess(folder, scan)
    expected = np.asarray(seen.restore(model.predict(seen.windows, verbose=0)).dataobj)
    image = recalib_keras.segment(scan, preset=folder, engine="keras", precision="float32")
    assert np.array_equal(np.asarray(image.dataobj), expected)
    output = tmp_path / "labels.nii.gz"
    assert main(["segment", str(scan), "-o", str(output), "--preset", str(folder), *EXACT]) == 0
    assert np.array_equal(np.asarray(nib.load(output).dataobj), expected)


def test_the_command_of_its_card_works(saved, scans, monkeypatch, capsys):
    _, folder = saved
    card = (folder / "README.md").read_text(encoding="utf-8")
    (command,) = [line.strip() for line in card.splitlines() if line.startswith("    recalib evaluate")]
    assert "Run in this folder:" in card and "fine-tuned from `tiny3d` in Python" in card
    monkeypatch.chdir(folder)
    assert main(shlex.split(command.replace("FOLDER", str(scans)))[1:]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:3]] == ["core", "spot"]


def test_without_a_data_set_evaluation_says_what_to_do(saved, capsys):
    assert main(["evaluate", "--preset", str(saved[1])]) == 2
    assert "expected the recipe of these weights" in (message := capsys.readouterr().err)
    assert "--dataset NAME FOLDER" in message


def test_info_of_it(saved, capsys):
    assert main(["info", str(saved[1])]) == 0
    assert "# spots" in capsys.readouterr().out


def test_other_weights_of_the_folder_stay(saved, preset_folder, tmp_path):
    model, folder = saved
    copy = shutil.copytree(preset_folder, tmp_path / "tiny3d")
    zoo.save(model, copy, like=preset_folder, labels={0: "background", 17: "core", 300: "spot"})
    assert list(zoo.info(copy).weight_sets) == ["fine_tuned", "balls", "doubled"]
    assert [label.id for label in zoo.weight_set(copy).labels] == [0, 17, 300]
    zoo.save(model, copy, like=preset_folder, name="again", labels=zoo.weight_set(folder).labels)
    zoo.save(model, copy, like=preset_folder, name="balls")  # replaced; labels of the preset
    assert list(zoo.info(copy).weight_sets) == ["balls", "again", "fine_tuned", "doubled"]
    assert [label.id for label in zoo.weight_set(copy).labels] == [0, 17, 53]


def test_a_model_that_keras_saved_in_between(saved, preset_folder, tmp_path):
    model, _ = saved
    model.save(tmp_path / "ft.keras")
    again = keras.saving.load_model(tmp_path / "ft.keras")
    folder = zoo.save(again, tmp_path / "again", like=preset_folder, labels=NAMES)
    np.testing.assert_array_equal(zoo.load(folder).get_weights()[0], model.get_weights()[0])


def test_a_2d_member_of_an_ensemble(tmp_path):
    like = write_views(tmp_path / "views")
    model = zoo.load(like, "coronal", num_classes=2, input_shape=(None, None, 3))
    folder = zoo.save(model, tmp_path / "two", like=like, weights="coronal", labels=["background", "side"])
    assert zoo.weight_set(folder).input == zoo.weight_set(like, "coronal").input
    assert zoo.load(folder).input_shape == (None, SIZE, SIZE, 3)


def test_labels_that_do_not_fit(saved, preset_folder, tmp_path):
    model, _ = saved
    two = zoo.load(preset_folder, num_classes=2)
    for which, labels, message in (
        (model, ["a", "b"], "expected 3 `labels`, one for each class of the model, the background first, got 2; name"),
        (two, None, "expected 2 `labels`, .* got those of the preset, 3; name them all"),
        (model, "core", "expected `labels` as a list of names, got 'core'"),
        (model, ["a", "a", "b"], "expected labels that differ in name, got 'a' more than once"),
        (model, ["a", "background", "b"], r"expected the background as the first of the labels, got 0 \('a'\)"),
    ):
        with pytest.raises(ValueError, match=message):
            zoo.save(which, tmp_path / "x", like=preset_folder, labels=labels)
    assert not (tmp_path / "x").exists()


def test_models_that_are_none_of_the_preset(saved, preset_folder, tmp_path):
    own = keras.Sequential([keras.Input((12, 12, 12, 1)), keras.layers.Conv3D(3, 1)])
    other = models.UNet((12, 12, 12, 1), 3, levels=1, filters=6, normalization="batch", recalibration="cse")
    flat = models.UNet((12, 12, 1), 3, levels=1, filters=4)
    for model, message in (
        (own, "expected `model` to be a network of recalib_keras.models, such as zoo.load returns, got a Sequential"),
        (other, r"expected the network of 'tiny3d', got filters=6 instead of 4"),
        (flat, r"expected `model` to have an input like that of 'tiny3d', \(12, 12, 12, 1\), got \(12, 12, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            zoo.save(model, tmp_path / "x", like=preset_folder, labels=NAMES)
    with pytest.raises(ValueError, match="the name of the weight set"):
        zoo.save(saved[0], tmp_path / "x", like=preset_folder, labels=NAMES, name="a/b")


def test_paths_that_are_nearly_right(saved, preset_folder, tmp_path, monkeypatch):
    model, folder = saved
    assert zoo.info(folder / "preset.json").name == zoo.info(folder.parent).name == "spots"
    shutil.copytree(preset_folder, folder.parent / "tiny3d")
    with pytest.raises(ValueError, match=r"expected the folder of one preset, got .*long, which holds .*spots, .*tin"):
        zoo.info(folder.parent)
    above = folder.parent.parent
    with pytest.raises(ValueError, match=rf"{above}, which has no preset.json; give {folder}, {folder.parent}/tiny3d"):
        zoo.info(above)
    monkeypatch.chdir(above.parent)  # a folder without a slash in its name
    with pytest.raises(ValueError, match=rf"expected a preset's folder, got {above}, which has no preset.json; give"):
        zoo.info(above.name)
    model.save(tmp_path / "ft.keras")
    with pytest.raises(ValueError, match=r"ft.keras, a model alone, .*zoo.save\(keras.saving.load_model\("):
        zoo.info(tmp_path / "ft.keras")
    with pytest.raises(ValueError, match=rf"a file of weights alone; give its folder, {folder}"):
        zoo.info(folder / "fine_tuned.safetensors")
    (tmp_path / "best.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a file of weights alone; load it by zoo.load\(PRESET, weights="):
        zoo.info(tmp_path / "best.safetensors")


def test_what_is_saved_is_json_without_surprises(saved):
    text = (saved[1] / "preset.json").read_text(encoding="utf-8")
    assert json.loads(text)["name"] == "spots" and "score" in text and str(saved[1]) not in text


def test_other_channels_and_a_sigmoid_are_kept(preset_folder, tmp_path):
    model = zoo.load(preset_folder, channels=2, num_classes=1)
    scan = nib.Nifti1Image(np.random.default_rng(1).normal(size=(12, 11, 12, 2)).astype("float32"), np.eye(4))
    nib.save(scan, tmp_path / "scan.nii.gz")
    seen = model.preprocess(tmp_path / "scan.nii.gz", labels=["background", "lesion"])
    expected = seen.restore(model.predict(seen.windows, verbose=0))
    folder = zoo.save(model, tmp_path / "lesions", like=preset_folder, labels=["background", "lesion"])
    described = zoo.weight_set(folder)
    assert described.network.has_sigmoid and described.input.num_channels == 2
    np.testing.assert_array_equal(
        zoo.load(folder).predict(seen.windows, verbose=0), model.predict(seen.windows, verbose=0)
    )
    segmented = recalib_keras.segment(tmp_path / "scan.nii.gz", folder, engine="keras", precision="float32")
    np.testing.assert_array_equal(segmented.get_fdata(), expected.get_fdata())


def test_a_network_of_other_pooling_is_refused_without_blaming_the_weights(tmp_path):
    model = models.UNet((8, 8, 2, 1), num_classes=2, levels=3, filters=4, pool_sizes=[(2, 2, 1), (2, 2, 1), 2])
    with pytest.raises(ValueError, match=r"got .*pool_sizes=\(\(2, 2, 1\).*; only a network that zoo.load returned"):
        zoo.save(model, tmp_path / "mine", like="unet3d_pe", weights="hippocampus", labels=["background", "lesion"])
