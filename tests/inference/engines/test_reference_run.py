import json
import subprocess
import sys

import numpy as np
import pytest

from recalib_keras.inference.engines import EngineError, Undecided, open_engine, openvino_engine, reference_run

pytestmark = pytest.mark.usefixtures("openvino")
PRECISIONS = ["float32", "bfloat16"]


def in_another_process(monkeypatch):
    """Lets a reference run believe that this process has not imported TensorFlow."""
    without = {name: module for name, module in sys.modules.items() if name != "tensorflow"}
    monkeypatch.setattr(
        reference_run, "sys", type("sys", (), {"modules": without, "executable": sys.executable, "path": sys.path})
    )


def test_a_run_has_labels_and_compiled_networks(bright_preset, windows):
    tried = reference_run.run_reference(bright_preset, "default", PRECISIONS, windows)
    assert np.array_equal(tried.labels == 1, windows[..., 0] > 0) and tried.refusal is None
    for precision in PRECISIONS:
        engine = openvino_engine.OpenVINOEngine(tried.compiled[precision], precision)
        assert np.array_equal(engine(windows).argmax(-1), tried.labels)


@pytest.mark.slow
def test_another_process_finds_the_same(bright_preset, windows, monkeypatch):
    here = reference_run.run_reference(bright_preset, "default", PRECISIONS, windows)
    monkeypatch.setattr(reference_run, "run_here", None)
    in_another_process(monkeypatch)
    there = reference_run.run_reference(bright_preset, "default", PRECISIONS, windows, threads=1)
    assert np.array_equal(here.labels, there.labels) and there.refusal is None
    for precision in PRECISIONS:
        engine = openvino_engine.OpenVINOEngine(there.compiled[precision], precision)
        assert np.array_equal(engine(windows).argmax(-1), here.labels)


@pytest.mark.slow
def test_windows_without_structures_are_not_compiled_for(bright_preset, windows, monkeypatch):
    def refuse(model, precisions):
        raise AssertionError("compiled for nothing")

    monkeypatch.setattr(openvino_engine, "convert", refuse)
    dark = -np.abs(windows)
    here = reference_run.run_reference(bright_preset, "default", PRECISIONS, dark)
    in_another_process(monkeypatch)
    there = reference_run.run_reference(bright_preset, "default", PRECISIONS, dark, threads=1)
    for tried in (here, there):
        assert not tried.shows_structures and tried.labels.shape == dark.shape[:-1] and tried[1:3] == ({}, None)


@pytest.mark.slow
def test_where_another_process_fails_this_one_tries(bright_preset, windows, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    in_another_process(monkeypatch)
    assert reference_run.run_reference(bright_preset, "default", [], windows).labels.shape == windows.shape[:-1]


def test_what_openvino_refuses_is_reported(bright_preset, windows, monkeypatch):
    def refuse(model, precisions):
        raise EngineError("the network cannot be converted")

    monkeypatch.setattr(openvino_engine, "convert", refuse)
    tried = reference_run.run_reference(bright_preset, "default", PRECISIONS, windows)
    assert tried.refusal == "the network cannot be converted" and tried.compiled == {}


def test_a_process_that_openvino_serves_never_imports_tensorflow(bright_preset, windows, empty_cache, tmp_path):
    np.save(tmp_path / "windows.npy", windows)
    script = f"""
import json, sys
import numpy as np
from recalib_keras.inference.engines import open_engine
windows = np.load({str(tmp_path / "windows.npy")!r})
labels = open_engine({str(bright_preset)!r}, engine="openvino").decided(windows)(windows).argmax(-1)
print(json.dumps([bool((labels == (windows[..., 0] > 0)).all()), "tensorflow" in sys.modules, "keras" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, False, False] and done.stderr == ""
    assert not isinstance(open_engine(bright_preset, engine="openvino"), Undecided)  # it is remembered
