import sys

import keras
import numpy as np
import pytest

from recalib_keras import zoo
from recalib_keras.inference.engines import KerasEngine, keras_engine


def test_gives_what_the_model_gives(bright_preset, windows):
    model = zoo.load(bright_preset)
    engine = KerasEngine(model)
    assert (engine.name, engine.precision) == ("keras", "float32")
    probabilities = engine(windows)
    assert isinstance(probabilities, np.ndarray)
    np.testing.assert_allclose(probabilities, keras.ops.convert_to_numpy(model(windows)), atol=1e-6)


def test_in_bfloat16(bright_preset, windows):
    engine = keras_engine.load(bright_preset, "default", "bfloat16")
    exact = keras_engine.load(bright_preset, "default", "float32")
    assert (engine.precision, exact.precision) == ("bfloat16", "float32")
    difference = np.abs(engine(windows) - exact(windows)).max()
    assert 0 < difference < 0.05 and engine(windows).dtype == np.float32


def test_a_gpu_gets_more_windows_at_a_time(bright_preset, monkeypatch):
    model = zoo.load(bright_preset)
    on_cpu = KerasEngine(model).voxels_per_batch
    monkeypatch.setattr(keras_engine, "_lies_on_cpu", lambda model: False)
    assert KerasEngine(model).voxels_per_batch > on_cpu


def test_backend_in_use():
    assert keras_engine.backend() == keras.backend.backend()


@pytest.mark.parametrize(
    ("variable", "settings", "expected"),
    [
        ("jax", '{"backend": "torch"}', "jax"),
        ("", '{"backend": "torch"}', "torch"),
        ("", "{}", "tensorflow"),
        ("", "no json", "tensorflow"),
        ("", None, "tensorflow"),
    ],
)
def test_backend_that_keras_would_take(variable, settings, expected, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", variable)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if settings is not None:
        (tmp_path / "keras.json").write_text(settings)
    assert keras_engine.backend() == expected


def test_another_backend_is_not_tensorflow(monkeypatch):
    monkeypatch.setattr(keras_engine, "backend", lambda: "jax")
    assert not keras_engine.runs_on_tensorflow_cpu()
