import re
import shutil

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from recalib_keras import zoo
from recalib_keras.zoo import WeightsError, weights
from recalib_keras.zoo.places import installed


def state(model):
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


def has_weights(model, path):
    tensors = load_file(path)
    return tensors.keys() == state(model).keys() and all(np.array_equal(v, tensors[k]) for k, v in state(model).items())


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(size=(1, 12, 12, 12, 1)).astype("float32")


@pytest.fixture
def five_classes(preset_folder, tmp_path):
    """The path of a user's own weights: the preset's network with another head."""
    path = tmp_path / "mine.safetensors"
    path.write_bytes(weights.serialize(zoo.load(preset_folder, num_classes=5)))
    return path


@pytest.mark.parametrize("as_text", [True, False])
def test_the_default_is_the_first_weight_set(as_text, preset_folder):
    model = zoo.load(str(preset_folder) if as_text else preset_folder)
    assert isinstance(model, keras.Model) and type(model).__name__ == "UNet"
    assert (model.input_shape, model.output_shape) == ((None, 12, 12, 12, 1), (None, 12, 12, 12, 3))
    assert has_weights(model, preset_folder / "balls.safetensors")


@pytest.mark.parametrize("name", ["balls", "doubled"])
def test_a_weight_set_by_name(name, preset_folder):
    assert has_weights(zoo.load(preset_folder, name), preset_folder / f"{name}.safetensors")


@pytest.mark.parametrize("as_text", [True, False])
def test_weights_by_path(as_text, preset_folder, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes((preset_folder / "doubled.safetensors").read_bytes())
    assert has_weights(zoo.load(preset_folder, weights=str(path) if as_text else path), path)


def test_no_weights_are_fresh_ones(preset_folder):
    keras.utils.set_random_seed(0)
    first, second = zoo.load(preset_folder, weights=None), zoo.load(preset_folder, weights=None)
    trained = load_file(preset_folder / "balls.safetensors")
    kernels = [state(first), state(second), trained]
    assert [kernel["classifier/kernel"].shape for kernel in kernels] == [(1, 1, 1, 4, 3)] * 3
    assert len({kernel["classifier/kernel"].tobytes() for kernel in kernels}) == 3


def test_another_number_of_classes_keeps_the_body_and_starts_a_new_head(preset_folder):
    trained = load_file(preset_folder / "balls.safetensors")
    model = zoo.load(preset_folder, num_classes=5)
    assert model.output_shape[-1] == 5 and state(model)["classifier/kernel"].shape == (1, 1, 1, 4, 5)
    body = {path: value for path, value in state(model).items() if not weights.is_head(path)}
    assert len(body) == len(state(model)) - 2
    assert all(np.array_equal(value, trained[path]) for path, value in body.items())


def test_the_same_number_of_classes_keeps_the_head(preset_folder):
    assert has_weights(zoo.load(preset_folder, num_classes=3), preset_folder / "balls.safetensors")


def test_weights_of_ones_own_with_another_head(five_classes, preset_folder):
    assert has_weights(zoo.load(preset_folder, weights=five_classes, num_classes=5), five_classes)
    body_only, name = zoo.load(preset_folder, weights=five_classes, num_classes=4), "bottleneck_conv_1/kernel"
    assert np.array_equal(state(body_only)[name], load_file(five_classes)[name])
    with pytest.raises(WeightsError, match=r"classifier/bias has shape \(5,\), the network's has \(3,\)"):
        zoo.load(preset_folder, weights=five_classes)


def test_another_input_shape(preset_folder, image):
    model, fixed = zoo.load(preset_folder, input_shape=(None, None, None, 1)), zoo.load(preset_folder)
    assert model.input_shape == (None, None, None, None, 1)
    np.testing.assert_allclose(model.predict_on_batch(image), fixed.predict_on_batch(image), atol=1e-5)
    assert model.predict_on_batch(image[:, :8, :, :10]).shape == (1, 8, 12, 10, 3)


def test_a_dtype_policy(preset_folder, image):
    model, full = zoo.load(preset_folder, dtype="mixed_bfloat16"), zoo.load(preset_folder)
    assert model.get_layer("classifier").compute_dtype == "bfloat16"
    assert has_weights(model, preset_folder / "balls.safetensors")
    probabilities = model.predict_on_batch(image)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, full.predict_on_batch(image), atol=0.05)


def test_what_is_loaded_trains_on(preset_folder, image):
    model = zoo.load(preset_folder, num_classes=4)
    before = state(model)
    model.compile("adam", "sparse_categorical_crossentropy")
    truth = np.random.default_rng(1).integers(0, 4, image.shape)
    losses = model.fit(image, truth, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    changed = {path for path, value in state(model).items() if not np.array_equal(value, before[path])}
    assert {"encoder_1_conv_1/kernel", "classifier/kernel"} <= changed


def test_a_frozen_body_stays(preset_folder, image):
    model = zoo.load(preset_folder, num_classes=4)
    for layer in model.layers:
        layer.trainable = layer.name == "classifier"
    before = state(model)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(image, np.zeros(image.shape), verbose=0)
    changed = {path for path, value in state(model).items() if not np.array_equal(value, before[path])}
    assert changed == {"classifier/kernel", "classifier/bias"}


def test_damaged_weights_are_refused(preset_folder, tmp_path):
    folder = shutil.copytree(preset_folder, tmp_path / "damaged")
    content = (folder / "balls.safetensors").read_bytes()
    (folder / "balls.safetensors").write_bytes(content[:-1] + b"?")
    with pytest.raises(WeightsError, match="expected the weights that the preset describes, with SHA-256"):
        zoo.load(folder)


def test_an_unknown_weight_set(preset_folder):
    with pytest.raises(
        ValueError, match="expected weights of the preset 'tiny3d', got 'cubes'; known weights: balls, doubled"
    ):
        zoo.load(preset_folder, weights="cubes")


@pytest.fixture
def shelf(preset_folder, tmp_path, monkeypatch):
    """A folder of presets in the place of the shipped ones: two presets, and a folder that is none."""
    for name in ("unet3d", "densenet3d_pe", "unfinished"):
        (tmp_path / name).mkdir()
    for name in ("unet3d", "densenet3d_pe"):
        (tmp_path / name / "preset.json").write_bytes((preset_folder / "preset.json").read_bytes())
    monkeypatch.setattr(installed, "own", lambda: tmp_path)
    return tmp_path


def test_names_are_those_with_a_description(shelf):
    assert zoo.names() == ["densenet3d_pe", "unet3d"]


def test_info_by_name(shelf):
    preset = zoo.info("unet3d")
    assert preset.folder == shelf / "unet3d" and list(preset.weight_sets) == ["balls", "doubled"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("densnet3d_pe", "did you mean 'densenet3d_pe'?"),
        ("unet2d", "did you mean 'unet3d'?"),
        ("xyz", "known presets: densenet3d_pe, unet3d"),
        ("unfinished", "known presets: densenet3d_pe, unet3d"),
    ],
)
@pytest.mark.parametrize("function", [zoo.info, zoo.load])
def test_an_unknown_preset(function, name, hint, shelf):
    message = f"expected the name of a preset, got {name!r}; {hint}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(name)


def test_a_folder_that_holds_no_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"expected a preset\'s folder, got .*drafts.unet3d, which has no preset.json"):
        zoo.info("drafts/unet3d")


def test_a_folder_in_the_way_does_not_hide_a_preset(tmp_path, monkeypatch):
    (tmp_path / "densenet3d_pe").mkdir()
    (tmp_path / "densenet3d_pe" / "preset.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert zoo.info("densenet3d_pe").name == "densenet3d_pe"
