import os
import subprocess
import sys

import numpy as np
import pytest

from recalib_keras import models, zoo
from recalib_keras.inference.engines import EngineError, KerasEngine, openvino_engine
from recalib_keras.inference.engines.openvino_engine import OpenVINOEngine, convert

pytestmark = pytest.mark.usefixtures("openvino")


@pytest.fixture(scope="module")
def model(bright_preset):
    return zoo.load(bright_preset)


@pytest.fixture(scope="module")
def compiled(model):
    return convert(model, ["float32", "bfloat16"])


def test_gives_what_keras_gives(model, compiled, windows):
    expected = KerasEngine(model)(windows)
    exact = OpenVINOEngine(compiled["float32"], "float32")
    assert (exact.name, exact.precision) == ("openvino", "float32")
    np.testing.assert_allclose(exact(windows), expected, atol=1e-5)
    rounded = OpenVINOEngine(compiled["bfloat16"], "bfloat16")(windows)
    assert rounded.dtype == np.float32 and np.abs(rounded - expected).max() < 0.05
    assert np.array_equal(rounded.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64])
def test_batches_of_any_size(count, model, compiled):
    """Windows of 8³ voxels are run 32 at a time."""
    windows = np.random.default_rng(count).normal(size=(count, 8, 8, 8, 1)).astype("float32")
    result = OpenVINOEngine(compiled["float32"], "float32")(windows)
    np.testing.assert_allclose(result, KerasEngine(model)(windows), atol=1e-5)


def test_results_are_written_where_the_last_ones_were(compiled, windows):
    """No memory is asked for with each window; see `test_test_time_flip.py` for who has to keep a result."""
    engine = OpenVINOEngine(compiled["float32"], "float32")
    first = engine(windows)
    kept = first.copy()
    second = engine(-windows)
    assert np.shares_memory(first, second) and not np.array_equal(second, kept)
    assert np.array_equal(engine(windows), kept)


@pytest.mark.parametrize(
    ("network", "shape", "recalibration", "patch_size"),
    [
        ("UNet", (4, 4, 4, 1), "pe", 1),
        ("SDNet", (4, 4, 1), "scse", 1),
        ("DenseNet", (4, 4, 4, 1), "pe", 2),
        pytest.param("UNet", (4, 4, 1), "cse", 2, marks=pytest.mark.slow),
        pytest.param("SDNet", (4, 4, 4, 1), "segse", 1, marks=pytest.mark.slow),
        pytest.param("DenseNet", (4, 4, 4, 1), "sse", 1, marks=pytest.mark.slow),
        pytest.param("DenseNet", (4, 4, 1), "cbam", 1, marks=pytest.mark.slow),
    ],
)
def test_every_network_and_block_can_be_converted(network, shape, recalibration, patch_size):
    block = {"recalibration": recalibration, "recalibration_args": {"reduction_ratio": 2}}
    settings = {"levels": 1, "filters": 4, "normalization": "batch", "patch_size": patch_size}
    settings |= block if recalibration != "sse" else {}
    model = getattr(models, network)(shape, 3, **settings)
    windows = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    result = OpenVINOEngine(convert(model, ["float32"])["float32"], "float32", threads=1)(windows)
    np.testing.assert_allclose(result, KerasEngine(model)(windows), atol=1e-4)


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"", lambda content: b"?" * 500])
def test_bytes_that_are_no_compiled_network(damage, compiled):
    with pytest.raises(EngineError, match="expected a network compiled by this OpenVINO"):
        OpenVINOEngine(damage(compiled["float32"]), "float32")


def test_a_network_that_cannot_be_converted(model, monkeypatch):
    def export(folder, verbose):
        pass  # leaves the folder empty, which OpenVINO refuses

    monkeypatch.setattr(model, "export", export, raising=False)
    with pytest.raises(
        EngineError, match="expected a network that can be converted for OpenVINO, got 'unet', which cannot"
    ):
        convert(model, ["float32"])


def test_reports_to_nobody(tmp_path):
    """OpenVINO's own telemetry sends an event when it is imported; ours must not, and must leave no file of its."""
    code = """
import socket, sys
def refuse(*_):
    raise AssertionError("connects to the network")
socket.socket.connect = socket.getaddrinfo = refuse
from recalib_keras.inference.engines import openvino_engine
openvino_engine.import_openvino().Core().available_devices
import threading
assert not any(name.startswith("openvino_telemetry") for name in sys.modules), "telemetry is loaded"
assert threading.active_count() == 1
assert "keras" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_telemetry_that_was_loaded_before_is_left_alone(monkeypatch):
    openvino, other = openvino_engine.import_openvino(), object()
    assert "openvino_telemetry" not in sys.modules
    monkeypatch.setitem(sys.modules, "openvino_telemetry", other)
    assert openvino_engine.import_openvino() is openvino and sys.modules["openvino_telemetry"] is other
