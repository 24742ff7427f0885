"""An ensemble as one model: it gives what a `Segmenter` does, it is saved, and refuses what makes no sense."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from views import SHARES, SIDES, SIZE, write_views

from recalib_keras import Segmenter, zoo
from recalib_keras.volumes import Grid, Volume

PREDICT = """
import sys, recalib_keras, keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_views(tmp_path_factory.mktemp("ensembles") / "views")


@pytest.fixture
def scan():
    array = np.random.default_rng(5).normal(size=(SIZE, SIZE, SIZE)).astype("float32")
    return Volume(array, Grid(array.shape, np.eye(4)))


def averaged(folder, image, slices=SIZE):
    """The probabilities of the three networks, one slice after the other, averaged by hand."""
    total, beside = np.zeros((*image.shape, len(SIDES)), "float32"), 1
    for name, axis in (("axial", 2), ("coronal", 1), ("sagittal", 0)):
        model = zoo.load(folder, name)
        stack = np.moveaxis(image, axis, 0)
        padded = np.concatenate([stack[:1], stack, stack[-1:]])
        for index in range(len(stack)):
            seen = np.stack([padded[index + offset] for offset in range(1 + 2 * beside)], axis=-1)
            found = keras.ops.convert_to_numpy(model(seen[None]))[0]
            if name == "sagittal":  # one class for both sides
                found = found[..., [0, 1, 1, 2]]
            np.moveaxis(total, axis, 0)[index] += SHARES[name] * found
    return total


@pytest.mark.parametrize("weights", ["all_views", "default", SHARES, ["coronal", "axial", "sagittal"]], ids=str)
def test_it_averages_the_views(weights, folder, scan):
    model = zoo.load(folder, weights)
    assert isinstance(model, keras.Model) and model.name == "views"
    assert (model.input_shape, model.output_shape) == ((None, *(SIZE,) * 3, 1), (None, *(SIZE,) * 3, 4))
    found = model.predict(scan.array[None, ..., None], verbose=0)[0]
    if weights in ("all_views", "default", SHARES):
        np.testing.assert_allclose(found, averaged(folder, scan.array), atol=1e-5)
    else:
        assert found.shape == (*scan.array.shape, 4) and found.sum() > 0


def test_it_gives_the_labels_of_a_segmenter(folder, scan):
    model = zoo.load(folder)
    seen = model.preprocess(scan)
    assert seen.windows.shape == (1, SIZE, SIZE, SIZE, 1) and [label.id for label in seen.labels] == [0, 4, 9, 5]
    labels = seen.restore(model.predict(seen.windows, verbose=0))
    expected = Segmenter.from_preset(folder)(scan).labels
    assert len(np.unique(expected)) > 1
    assert np.array_equal(np.asarray(labels.dataobj), expected)


def test_any_size_and_type(folder):
    model = zoo.load(folder, input_shape=(None, None, None, 1), dtype="mixed_bfloat16")
    found = model.predict(np.zeros((2, 4, 6, 8, 1), "float32"), verbose=0)
    assert found.shape == (2, 4, 6, 8, 4) and found.dtype == np.float32


@pytest.mark.slow
def test_a_fresh_process_loads_it(folder, scan, tmp_path):
    model = zoo.load(folder)
    model.save(tmp_path / "all.keras")
    np.save(tmp_path / "scan.npy", scan.array[None, ..., None])
    arguments = [str(tmp_path / name) for name in ("all.keras", "scan.npy", "found.npy")]
    done = subprocess.run([sys.executable, "-c", PREDICT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = model.predict(scan.array[None, ..., None], verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-5)


def test_other_classes_are_for_a_member(folder):
    call = f'zoo.load("{folder}", weights="axial", num_classes=3) or zoo.load("{folder}", weights="coronal", num_cl'
    with pytest.raises(ValueError, match="expected no `num_classes` for the ensemble of axial, coronal, sag") as error:
        zoo.load(folder, num_classes=3)
    assert call in str(error.value)
    assert zoo.load(folder, "axial", num_classes=3).output_shape[-1] == 3


def test_features_are_those_of_a_member(folder):
    with pytest.raises(ValueError, match="got an ensemble; give one of axial, coronal, sagittal"):
        zoo.features(folder)
    assert list(zoo.features(folder, "axial").output) == ["encoder_1", "bottleneck"]


def test_unknown_members(folder):
    with pytest.raises(ValueError, match="expected weights of the preset 'views', got 'axia'; did you mean 'axial'"):
        zoo.load(folder, ["axial", "axia"])
