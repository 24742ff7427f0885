import keras
import numpy as np
import pytest

from recalib_keras import models
from recalib_keras.inference.engines import KerasEngine, base, classifier_split, keras_engine
from recalib_keras.inference.engines.openvino_engine import OpenVINOEngine, convert
from recalib_keras.inference.sliding_window.window_rows import WindowRows, whole

SHAPE = (8, 4, 4, 1)
SETTINGS = {"levels": 1, "filters": 4, "normalization": "instance"}


@pytest.fixture
def small_is_large(monkeypatch):
    """Splits networks of tiny windows, too; a slab of them has two rows of 16 voxels."""
    monkeypatch.setattr(classifier_split, "LARGE", 1)
    monkeypatch.setattr(classifier_split, "VOXELS_AT_ONCE", 40)


def network(name="UNet", shape=SHAPE, classes=3, **settings):
    keras.utils.set_random_seed(3)
    return getattr(models, name)(shape, classes, **{**SETTINGS, **settings})


def windows_of(count, shape=SHAPE):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype("float32")


def test_the_probabilities_are_those_of_the_whole_network(small_is_large):
    """33 classes and 16 feature maps, so that sums have many terms whose order could matter."""
    model, windows = network(classes=33, filters=16, patch_size=2), windows_of(2)
    rows = KerasEngine(model).in_rows(windows)
    assert all(isinstance(one, WindowRows) for one in rows)
    np.testing.assert_allclose(whole(rows), model.predict_on_batch(windows), atol=1e-6)


WITH_BLOCKS = {"patch_size": 2, "recalibration": "pe", "recalibration_args": {"reduction_ratio": 2}}


@pytest.mark.parametrize(
    ("name", "settings", "precision"),
    [
        ("UNet", {"patch_size": 2}, "float32"),
        ("DenseNet", WITH_BLOCKS, "bfloat16"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("UNet", {"patch_size": 2}, "bfloat16"),
                ("DenseNet", WITH_BLOCKS, "float32"),
                ("UNet", {"head_filters": 8, "classifier_activation": "sigmoid"}, "float32"),
                ("UNet", {"head_filters": 8, "classifier_activation": "sigmoid"}, "bfloat16"),
            )
        ),
    ],
)
def test_openvino_gives_the_very_same_numbers(name, settings, precision, openvino, small_is_large, monkeypatch):
    model, windows = network(name, (16, 16, 16, 1), **settings), windows_of(3, (16, 16, 16, 1))
    engine = OpenVINOEngine(convert(model, [precision])[precision], precision, threads=1)
    rows = engine.in_rows(windows)
    assert all(isinstance(one, WindowRows) for one in rows)
    monkeypatch.setattr(classifier_split, "LARGE", 2**40)
    expected = OpenVINOEngine(convert(model, [precision])[precision], precision, threads=1)
    assert isinstance(expected.in_rows(windows), np.ndarray)
    assert np.array_equal(whole(rows), expected(windows)) and np.array_equal(engine(windows), expected(windows))


def test_rows_stay_valid(openvino, small_is_large):
    """The prediction of a scan must not change when that of its mirror image is made."""
    engine = OpenVINOEngine(convert(network(), ["float32"])["float32"], "float32", threads=1)
    windows = windows_of(1)
    rows, expected = engine.in_rows(windows), engine(windows).copy()
    other = engine.in_rows(-windows)
    assert np.array_equal(whole(rows), expected) and not np.array_equal(whole(other), expected)


def test_the_labels_that_select_an_engine_are_the_same(small_is_large, monkeypatch):
    model, windows = network(), windows_of(2)
    labels = keras_engine.labels_of(model)(windows)
    found = base.agreement(KerasEngine(model), windows, labels)
    monkeypatch.setattr(classifier_split, "LARGE", 2**40)
    assert np.array_equal(labels, keras_engine.labels_of(model)(windows)) and len(np.unique(labels)) > 1
    assert found == (1, 1)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        (SHAPE, {"positions": ("classifier",), "recalibration": "cse", "recalibration_args": {"reduction_ratio": 1}}),
        ((8, 8, 1), {}),
        ((None, None, None, 1), {}),
    ],
)
def test_what_cannot_be_split_stays_whole(shape, settings, small_is_large):
    """A block behind the classifier sees all voxels; slices are small; without a size there are no rows."""
    assert classifier_split.split(network(shape=shape, **settings)) is None


def test_small_windows_stay_whole():
    assert classifier_split.split(network()) is None


def test_networks_of_others_stay_whole(small_is_large):
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv3D(3, 1, name="classifier")])
    assert classifier_split.split(model) is None
